"""Run `fuse`: scale each block on train statistics, join the blocks of every row, write one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.contract import Progress, Tracker
from stages.features import open_aligned
from stages.fuse.params import FuseParams
from stages.fusions.blocks import BlockScaler, ConcatFusion, gather
from stages.heads.model import Array
from stages.items import Manifest
from stages.outputs import fresh_folder, write_json
from stages.parts import read_split
from store import Matrix, MatrixBlock, MatrixHeader, write_matrix

_ROWS = 8192


@dataclass(frozen=True)
class FuseInputs:
    """What `fuse` reads: the matrices in the order of `FuseParams.features`, and their cards' digests."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class FuseOutputs:
    """What `fuse` writes: the joined matrix, its card, the fitted scaling."""

    matrix: Path
    card: Path
    model: Path


def run(params: FuseParams, inputs: FuseInputs, outputs: FuseOutputs, progress: Progress) -> dict[str, object]:
    """Join the matrices; a row is present when any of its inputs is, the others carry their missing vectors.

    Raises
    ------
    InputError
        When a matrix is missing or not aligned with the manifest.
    """
    ids = Manifest.open(inputs.manifest).ids()
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    widths = tuple(matrix.dim for matrix in matrices)
    # Only `standard` learns something, and only from train rows.
    train = np.flatnonzero(read_split(inputs.split, ids) == "train") if params.scale == "standard" else np.zeros(0, int)
    scaler = BlockScaler(widths, params.scale).fit(gather(matrices, train))
    attributes = {"fusion": params.fusion, "features": params.features, "sources": [each.digest for each in matrices]}
    empty = np.concatenate([*(each.missing_vector for each in matrices), np.zeros(len(matrices))]).astype(np.float32)
    missing = _fused(scaler, empty[None, :])[0]
    header = MatrixHeader(ids, sum(widths), "float32", missing, attributes)
    with fresh_folder(outputs.model) as folder, progress.track(f"fuse {' + '.join(params.features)}", len(ids)) as bar:
        scaler.save(folder)
        info = write_matrix(outputs.matrix, header, _blocks(matrices, scaler, bar))
    card: dict[str, object] = {"rows": info.rows, "dim": info.dim, "digest": info.digest}
    write_json(outputs.card, {**card, **attributes})
    return card


def _blocks(matrices: Sequence[Matrix], scaler: BlockScaler, bar: Tracker) -> Iterator[MatrixBlock]:
    for start in range(0, len(matrices[0]), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(matrices[0])))
        present = np.any([matrix.usable[rows] for matrix in matrices], axis=0)
        bar.advance(len(rows))
        yield MatrixBlock(_fused(scaler, gather(matrices, rows)), present, present)


def _fused(scaler: BlockScaler, x: Array) -> Array:
    joined: Array = ConcatFusion(scaler.widths).transform(scaler.transform(x))
    return joined
