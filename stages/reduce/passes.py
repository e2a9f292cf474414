"""The two passes over a matrix, train rows summed and all rows projected, in pieces; by this process or by workers."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import WorkFunction
from stages.models.features.opening import open_place, place_of
from stages.models.fusions.pca import FILE, SAMPLE, WIDEST, PcaProjection, Scatter
from stages.models.workers import (
    LEAST_PRODUCTS,
    WorkerPool,
    arrays_of,
    held_once,
    refuse_other_versions,
    report_of,
    told_where,
    versions_of,
)
from store import Matrix
from store.errors import RunError, UnitLost
from store.files.reading import file_digest
from store.files.scratch import put_arrays, refuse_other_file, take_arrays

Ints = NDArray[np.int64]
_ROWS, _VALUES = 8192, 1 << 24  # the most that a block may hold: wide rows come a few at a time
# The least rows of a piece: so many train rows are summed in one chain. The products that it leaves take a fortieth of
# the room of the vectors that went into it where these have 768 numbers, a fourth where they have 8,192.
_PIECE = 1 << 16


def block_rows(width: int) -> int:
    """Tell how many rows of a width are read at once."""
    return max(1, min(_ROWS, _VALUES // width))


def pieces(count: int, block: int) -> list[tuple[int, int]]:
    """Cut rows 0 to `count` into pieces of whole blocks: begin and end of each."""
    size = -(-_PIECE // block) * block
    return [(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True)
class Source:
    """A matrix, its usable train rows, int64 [n], and how many rows of it are read at once."""

    matrix: Matrix
    train: Ints
    block: int

    def scatter(self, start: int, stop: int) -> Scatter:
        """Sum the train rows at some positions, measured from an origin that all pieces share."""
        scatter = Scatter(self.matrix.rows(self.train[:SAMPLE]))
        for begin in range(start, stop, self.block):
            scatter.update(self.matrix.rows(self.train[begin : min(begin + self.block, stop)]))
        return scatter

    def projected(self, projection: PcaProjection, start: int, stop: int) -> Iterator[NDArray[np.float32]]:
        """Project rows of the matrix, block by block: [rows, components] each."""
        for begin in range(start, stop, self.block):
            yield projection.transform(self.matrix.block(begin, min(begin + self.block, stop)))


class Here:
    """Does both passes in this process."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def fit(self, projection: PcaProjection) -> None:
        """Fit on the train rows."""
        source = self._source
        if source.matrix.dim > WIDEST:
            train, step = source.train, source.block
            projection.fit_blocks(source.matrix.rows(train[at : at + step]) for at in range(0, len(train), step))
            return
        first, *others = pieces(len(source.train), source.block)
        total = source.scatter(*first)
        for each in others:
            more = source.scatter(*each)
            total.add(more.products, more.count)
        projection.fit_scatter(total)

    def project(self, projection: PcaProjection) -> Generator[NDArray[np.float32], None, None]:
        """Yield all rows of the matrix projected, in their order."""
        yield from self._source.projected(projection, 0, len(self._source.matrix))


_LOG = logging.getLogger("diptych.reduce")
_COMPUTING = "numpy", "scipy"
_Arrays = Generator[dict[str, NDArray[Any]], None, None]


def pays(source: Source, components: int) -> bool:
    """Tell whether there is enough to compute, in more than one piece."""
    width = source.matrix.dim
    products = len(source.train) * width * width // 2 + len(source.matrix) * width * components
    return len(pieces(len(source.matrix), source.block)) > 1 and products >= LEAST_PRODUCTS


class Workers:
    """Has both passes done by workers; the pieces and the arithmetic are those of `Here`.

    Positions, paths and digests travel. Sums and projected rows come back through a scratch folder, and are combined in
    the order of the pieces: who did which does not matter.

    Parameters
    ----------
    folder : Path
        Of this run; see `scratch_folder`.
    """

    def __init__(self, source: Source, pool: WorkerPool, folder: Path) -> None:
        self._source, self._executor, self._folder = source, pool.executor, folder
        self._order = {
            "matrix": place_of(source.matrix, pool.verified),
            "train": str(folder / "train.npz"),
            "train_digest": put_arrays(folder / "train.npz", rows=source.train),
            "block": source.block,
            "versions": versions_of(*_COMPUTING),
        }

    def fit(self, projection: PcaProjection) -> None:
        """Fit on the train rows.

        Raises
        ------
        InputError
            When a worker does not see the matrix or the scratch folder, or has other versions.
        RunError
            When a piece loses one worker after the other, or the workers are gone.
        """
        source = self._source
        if source.matrix.dim > WIDEST:
            _LOG.warning("rows wider than %d are fitted in memory, by this process alone", WIDEST)
            Here(source).fit(projection)
            return
        spans = pieces(len(source.train), source.block)
        total = Scatter(source.matrix.rows(source.train[:SAMPLE]))
        with closing(self._computed(sum_rows, spans)) as sums:
            for (start, stop), arrays in zip(spans, sums, strict=True):
                total.add(arrays["products"], stop - start)
        projection.fit_scatter(total)

    def project(self, projection: PcaProjection) -> Generator[NDArray[np.float32], None, None]:
        """Yield all rows of the matrix projected, in their order; the errors are those of `fit`."""
        projection.save(self._folder)
        model = {"folder": str(self._folder), "digest": file_digest(self._folder / FILE)}
        spans = pieces(len(self._source.matrix), self._source.block)
        with closing(self._computed(project_rows, spans, model=model)) as projected:
            for arrays in projected:
                yield arrays["vectors"]

    def _computed(self, work: WorkFunction, spans: list[tuple[int, int]], **more: Any) -> _Arrays:
        into = str(self._folder / f"{work.__name__}-{{}}.npz")
        units = [
            {"order": self._order, "start": start, "stop": stop, "into": into.format(start), **more}
            for start, stop in spans
        ]
        try:
            with closing(arrays_of(self._executor, work, units)) as computed:
                yield from computed
        except UnitLost as lost:
            start, stop = spans[lost.unit]
            raise RunError(
                f"reduce: expected {work.__name__} of {self._source.matrix.path}, {start} to {stop}; found {lost}; see "
                "the workers' logs: were they out of memory? DIPTYCH_EXECUTOR=serial computes it here."
            ) from lost


def sum_rows(unit: Mapping[str, Any]) -> dict[str, str]:
    """Sum some train rows, on a worker.

    Parameters
    ----------
    unit : mapping
        `order`: what is the same for all (see `Workers`); `start`, `stop`: positions among the train rows; `into`: what
        the file of the products is named after.

    Returns and raises as `workers.report_of` tells.
    """
    with told_where():
        scatter = _hold(unit["order"]).scatter(unit["start"], unit["stop"])
        return report_of(unit, products=scatter.products)


def project_rows(unit: Mapping[str, Any]) -> dict[str, str]:
    """Project some rows, on a worker; as `sum_rows`, with the `folder` and the `digest` of the `model`."""
    with told_where():
        source = _hold(unit["order"])
        projection = _restored(unit["model"])
        blocks = source.projected(projection, unit["start"], unit["stop"])
        return report_of(unit, vectors=np.concatenate(list(blocks)))


@held_once
def _hold(order: Mapping[str, Any]) -> Source:
    refuse_other_versions(order["versions"])
    train = take_arrays(Path(order["train"]), order["train_digest"])["rows"]
    return Source(open_place(order["matrix"]), train, order["block"])


@held_once
def _restored(model: Mapping[str, str]) -> PcaProjection:
    folder = Path(model["folder"])
    refuse_other_file(folder / FILE, model["digest"])
    return PcaProjection().restore(folder)
