"""A graph over the gallery that proposes neighbours without measuring every pair; `ranking` asks it where it may.

What it proposes is measured again as `neighbours` measures: the distances are exact, and so is their order. It may
overlook a neighbour, and how often it does is counted in `index_recall`. The library is the optional extra `index`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.models.measures.neighbours import Neighbours
from stages.retrieve.features import FeatureRows
from store.errors import InputError

Ints = NDArray[np.int64]
AllowedPairs = Callable[[Ints], NDArray[np.bool_]]
"""Says which of some gallery positions, int64 [q, m], each query may find: bool [q, m]."""

_LINKS, _BUILD_WIDTH, _SEARCH_WIDTH = 32, 64, 256
_STEP = 4096
_PAIR_FLOATS = 1 << 22
_MOST_EXTRA = 256


@dataclass(frozen=True)
class HnswIndex:
    """A hierarchical graph of near neighbours over the gallery.

    Source: Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using hierarchical navigable
    small world graphs, 2016; faiss' `IndexHNSWFlat` with 32 links, 64 candidates when building, 256 when searching.
    """

    graph: Any
    gallery: FeatureRows

    @classmethod
    def build(cls, gallery: FeatureRows, progress: Progress) -> Self:
        """Put the gallery into a graph, by one thread and with fixed seeds: the same rows give the same graph.

        Raises
        ------
        InputError
            When the library is not installed, or a vector is not finite.
        """
        faiss = _library()
        graph = None
        with _one_thread(faiss), progress.track("index", len(gallery)) as tracker:
            for start in range(0, len(gallery), _STEP):
                block = np.ascontiguousarray(gallery[slice(start, start + _STEP)], np.float32)
                if graph is None:
                    graph = faiss.IndexHNSWFlat(block.shape[1], _LINKS)
                    graph.hnsw.efConstruction = _BUILD_WIDTH
                graph.add(block)
                tracker.advance(len(block))
        return cls(graph, gallery)

    def nearest(self, queries: FeatureRows, k: int, allowed: AllowedPairs, lost: int) -> Neighbours:
        """Find k gallery rows for every query, near ones if not always the nearest.

        Parameters
        ----------
        queries : FeatureRows
        k : int
        allowed : callable
            Pairs for which it says False are never found.
        lost : int
            How many gallery rows may be forbidden to a query: so many more are proposed, up to 256.

        Returns
        -------
        Neighbours
            -1 where fewer than k of those proposed were allowed.
        """
        count = min(len(self.gallery), 2 * k + 16 + min(lost, _MOST_EXTRA))
        self.graph.hnsw.efSearch = max(_SEARCH_WIDTH, 2 * count)
        found = Neighbours(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf))
        proposed = self._proposed(queries, count)
        free = (proposed >= 0) & allowed(np.maximum(proposed, 0))
        for part, squared in self._measured(queries, proposed):
            squared[~free[part]] = np.inf
            order = np.lexsort((proposed[part], squared), axis=1)[:, :k]
            near = np.take_along_axis(squared, order, axis=1)
            place = np.take_along_axis(proposed[part], order, axis=1)
            found.squared[part, : near.shape[1]] = near
            found.indices[part, : near.shape[1]] = np.where(np.isfinite(near), place, -1)
        return found

    def _proposed(self, queries: FeatureRows, count: int) -> Ints:
        parts = []
        for start in range(0, len(queries), _STEP):
            block = np.ascontiguousarray(queries[slice(start, start + _STEP)], np.float32)
            parts.append(np.asarray(self.graph.search(block, count)[1], np.int64))
        return np.concatenate(parts)

    def _measured(self, queries: FeatureRows, proposed: Ints) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield squared distances [q, m] of some queries after the other, as `neighbours` computes them."""
        width = proposed.shape[1]
        step = max(1, _PAIR_FLOATS // (width * self.graph.d))
        for start in range(0, len(queries), step):
            part = slice(start, min(start + step, len(queries)))
            near = self.gallery[np.maximum(proposed[part], 0).ravel()].reshape(-1, width, self.graph.d)
            gap = queries[part][:, None, :] - near
            yield part, (gap * gap).sum(axis=2)


def index_recall(found: NDArray[np.float64], exact: NDArray[np.float64], k: int) -> float:
    """Tell the share of the k nearest that an index found, by distances [q, at least k] of both.

    A row as near as the k-th counts, whichever of equally near ones it is.
    """
    return float((found[:, :k] <= exact[:, k - 1 : k]).mean())


def _library() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            f"retrieve: expected the library faiss for `index: hnsw`, found none ({error}); install the extra: "
            "pip install 'diptych[index]', or choose index: exact"
        ) from None
    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Insert in the order of the rows: two threads would link what each of them happens to find."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
