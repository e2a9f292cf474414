"""Run `reduce`: fit a projection on the usable train rows of one matrix, project every row, block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from stages.contract import Progress, Tracker
from stages.errors import InputError
from stages.features import open_aligned
from stages.fusions.pca import PcaProjection
from stages.items import Manifest
from stages.outputs import fresh_folder, write_json, write_lines
from stages.parts import read_split
from stages.reduce.params import ReduceParams
from store import Matrix, MatrixBlock, MatrixHeader, write_matrix

_ROWS, _VALUES = 8192, 1 << 24  # the most that a block may hold: wide rows come a few at a time


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


def run(params: ReduceParams, inputs: ReduceInputs, outputs: ReduceOutputs, progress: Progress) -> dict[str, object]:
    """Project the matrix `params.features`.

    Raises
    ------
    InputError
        When there are too few usable train rows, or the matrix is not aligned with the manifest.
    """
    ids = Manifest.open(inputs.manifest).ids()
    (source,) = open_aligned([inputs.matrix], ids, inputs.digests)
    train = np.flatnonzero((read_split(inputs.split, ids) == "train") & source.usable)
    if not len(train):
        raise InputError(f"reduce: expected usable train rows in {inputs.matrix}; found none; check the field's texts.")
    projection = PcaProjection(params.components, params.whiten)
    step = _step(source)
    projection.fit_blocks(source.rows(train[start : start + step]) for start in range(0, len(train), step))
    attributes = {"features": params.features, "method": params.method, "source_digest": source.digest}
    missing = projection.transform(source.missing_vector[None, :])[0]
    header = MatrixHeader(ids, params.components, "float32", missing, attributes)
    with fresh_folder(outputs.model) as folder, progress.track(f"reduce {params.features}", len(ids)) as bar:
        projection.save(folder)
        info = write_matrix(outputs.matrix, header, _blocks(source, projection, bar))
    shares = [float(share) for share in projection.explained_variance_ratio_]
    _write_variance(outputs.variance, shares)
    explained = [round(share, 6) for share in shares]
    card: dict[str, object] = {"rows": info.rows, "dim": info.dim, "digest": info.digest, "explained": explained}
    write_json(outputs.card, {**card, **attributes})
    return card


def _write_variance(path: Path, shares: Sequence[float]) -> None:
    """Write what share of the train variance each component has, and all up to it together."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["component", "variance", "cumulative"])
        for number, (share, together) in enumerate(zip(shares, accumulate(shares), strict=True), start=1):
            writer.writerow([number, f"{share:.6f}", f"{min(together, 1.0):.6f}"])


def _step(source: Matrix) -> int:
    return max(1, min(_ROWS, _VALUES // source.dim))


def _blocks(source: Matrix, projection: PcaProjection, bar: Tracker) -> Iterator[MatrixBlock]:
    step = _step(source)
    for start in range(0, len(source), step):
        stop = min(start + step, len(source))
        vectors = projection.transform(source.block(start, stop))
        bar.advance(stop - start)
        yield MatrixBlock(vectors, source.present[start:stop], source.ok[start:stop])
