"""Have the workers of an executor sum the train rows of a matrix and project its rows, in the pieces of `passes`."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Unit
from stages.errors import RunError, UnitLost
from stages.features import open_place, place_of
from stages.files import file_digest
from stages.fusions.pca import FILE, SAMPLE, WIDEST, PcaProjection, Scatter
from stages.reduce.passes import Here, Source, pieces
from stages.scratch import put_arrays, refuse_other_file, take_arrays
from stages.workers import (
    LEAST_PRODUCTS,
    Apart,
    arrays_of,
    held_once,
    refuse_other_versions,
    report_of,
    told_where,
    versions_of,
)

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

    def __init__(self, source: Source, apart: Apart, folder: Path) -> None:
        self._source, self._executor, self._folder = source, apart.executor, folder
        self._order = {
            "matrix": place_of(source.matrix, apart.verified),
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

    def _computed(self, work: Unit, spans: list[tuple[int, int]], **more: Any) -> _Arrays:
        into = str(self._folder / f"{work.__name__}-{{}}.npz")
        tasks = [
            {"order": self._order, "start": start, "stop": stop, "into": into.format(start), **more}
            for start, stop in spans
        ]
        try:
            with closing(arrays_of(self._executor, work, tasks)) as computed:
                yield from computed
        except UnitLost as lost:
            start, stop = spans[lost.unit]
            raise RunError(
                f"reduce: expected {work.__name__} of {self._source.matrix.path}, {start} to {stop}; found {lost}; see "
                "the workers' logs: were they out of memory? DIPTYCH_EXECUTOR=serial computes it here."
            ) from lost


def sum_rows(task: Mapping[str, Any]) -> dict[str, str]:
    """Sum some train rows, on a worker.

    Parameters
    ----------
    task : mapping
        `order`: what is the same for all (see `Workers`); `start`, `stop`: positions among the train rows; `into`: what
        the file of the products is named after.

    Returns and raises as `workers.report_of` tells.
    """
    with told_where():
        scatter = _hold(task["order"]).scatter(task["start"], task["stop"])
        return report_of(task, products=scatter.products)


def project_rows(task: Mapping[str, Any]) -> dict[str, str]:
    """Project some rows, on a worker; as `sum_rows`, with the `folder` and the `digest` of the `model`."""
    with told_where():
        source = _hold(task["order"])
        projection = _restored(task["model"])
        blocks = source.projected(projection, task["start"], task["stop"])
        return report_of(task, vectors=np.concatenate(list(blocks)))


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
