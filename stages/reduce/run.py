"""Run `reduce`: fit a projection on the usable train rows of one matrix, project every row, block by block."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress, Tracker
from stages.models.features.opening import open_aligned
from stages.models.fusions.pca import PcaProjection
from stages.models.workers import WorkerPool
from stages.reduce.params import ReduceParams
from stages.reduce.passes import Here, Source, Workers, block_rows, pays
from store import Matrix, MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.files.outputs import fresh_folder, write_lines
from store.files.scratch import scratch_folder
from store.items.manifest import Manifest
from store.items.split import read_split
from store.results.cards import EntryCard

_LOG = logging.getLogger("diptych.reduce")


@dataclass(frozen=True)
class ReduceInputs:
    """What `reduce` reads: one matrix, and the digest that its card states."""

    manifest: Path
    split: Path
    matrix: Path
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReduceOutputs:
    """What `reduce` writes: the projected matrix, its card, the fitted projection, the variance of each component."""

    matrix: Path
    card: Path
    model: Path
    variance: Path


def run(
    params: ReduceParams,
    inputs: ReduceInputs,
    outputs: ReduceOutputs,
    progress: Progress,
    pool: WorkerPool | None = None,
) -> EntryCard:
    """Project the matrix `params.features` and return the card.

    Parameters
    ----------
    pool : WorkerPool, optional
        Whose workers read and compute, where that pays; without them this process does.

    Raises
    ------
    InputError
        When there are too few usable train rows, or the matrix is not aligned with the manifest; when a worker does not
        see it.
    RunError
        When the workers are lost.
    """
    ids = Manifest.open(inputs.manifest).ids()
    (source,) = open_aligned([inputs.matrix], ids, inputs.digests)
    train = np.flatnonzero((read_split(inputs.split, ids) == "train") & source.usable)
    if not len(train):
        raise InputError(f"reduce: expected usable train rows in {inputs.matrix}; found none; check the field's texts.")
    projection = PcaProjection(params.components, params.whiten)
    attributes = {"features": params.features, "method": params.method, "source_digest": source.digest}
    with _passes(Source(source, train, block_rows(source.dim)), params, pool) as passes:
        passes.fit(projection)
        missing = projection.transform(source.missing_vector[None, :])[0]
        header = MatrixHeader(ids, params.components, "float32", missing, attributes)
        with fresh_folder(outputs.model) as folder, progress.track(f"reduce {params.features}", len(ids)) as bar:
            projection.save(folder)
            with closing(passes.project(projection)) as projected:
                info = write_matrix(outputs.matrix, header, _blocks(source, projected, bar))
    shares = [float(share) for share in projection.explained_variance_ratio_]
    _write_variance(outputs.variance, shares)
    explained = [round(share, 6) for share in shares]
    counts = {"rows": info.rows, "dim": info.dim}
    card = EntryCard({"explained": explained}, counts, {"digest": info.digest, **attributes})
    card.write(outputs.card)
    return card


def _write_variance(path: Path, shares: Sequence[float]) -> None:
    """Write what share of the train variance each component has, and all up to it together."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["component", "variance", "cumulative"])
        for number, (share, together) in enumerate(zip(shares, accumulate(shares), strict=True), start=1):
            writer.writerow([number, f"{share:.6f}", f"{min(together, 1.0):.6f}"])


@contextmanager
def _passes(source: Source, params: ReduceParams, pool: WorkerPool | None) -> Iterator[Here | Workers]:
    """Choose who computes, for as long as that takes."""
    if pool is None or not pool.executor.apart:
        yield Here(source)
    elif not pays(source, params.components):
        _LOG.info("%s is projected by this process: workers would take longer to start", params.features)
        yield Here(source)
    else:
        with scratch_folder(pool.scratch) as folder:
            yield Workers(source, pool, folder)


def _blocks(source: Matrix, projected: Iterable[NDArray[np.float32]], bar: Tracker) -> Iterator[MatrixBlock]:
    start = 0
    for vectors in projected:
        stop = start + len(vectors)
        bar.advance(len(vectors))
        yield MatrixBlock(vectors, source.present[start:stop], source.ok[start:stop])
        start = stop
