"""Run `fuse`: fit scaling and fusion on train rows, fuse every row, write one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress, Tracker
from stages.fuse.params import FuseParams
from stages.models.encoders.running.engines import resolve_device
from stages.models.features.layout import layout_columns
from stages.models.features.opening import open_aligned
from stages.models.features.scaling import BlockScaler
from stages.models.features.table import FeatureTable, MappedTable, layout_of, missing_row
from stages.models.fusions.model import VectorFusion
from stages.models.heads.model import Problem, blocks_of
from stages.models.training.cause import training_cause
from stages.models.training.checkpoints import Checkpoints, TrainingSettings
from stages.models.training.epochs import Watch
from store import Matrix, MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.files.outputs import fresh_folder
from store.items.manifest import Manifest
from store.items.split import read_split
from store.results.cards import EntryCard


@dataclass(frozen=True)
class FuseInputs:
    """What `fuse` reads: the matrices in the order of `FuseParams.features`, and their cards' digests."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class FuseOutputs:
    """What `fuse` writes: the fused matrix, its card, the fitted scaling and fusion."""

    matrix: Path
    card: Path
    model: Path


def run(
    params: FuseParams, inputs: FuseInputs, outputs: FuseOutputs, settings: TrainingSettings, progress: Progress
) -> EntryCard:
    """Fuse the matrices and return the card.

    A row is present when any of its inputs is; the others carry their missing vectors.

    Raises
    ------
    InputError
        When a matrix is missing or not aligned with the manifest, or there are no rows to learn from.
    """
    ids = Manifest.open(inputs.manifest).ids()
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    layout = layout_of(matrices, params.row.needs, params.fusion)
    label = f"fuse {outputs.matrix.name.partition('.')[0]}"
    visible = _visible(params, read_split(inputs.split, ids), matrices)
    table = FeatureTable(matrices, visible, layout)
    scaler = BlockScaler(layout, params.scale).fit(table)
    problem = Problem("multilabel", 1, params.seed, resolve_device(settings.device))
    fusion: VectorFusion = params.row.build(layout, params.options, problem)
    states = _states(params, table, problem.device, settings, outputs)
    fusion.fit(MappedTable(table, scaler.transform, layout_columns(layout)), watch=Watch(label, progress, states))
    missing = fusion.transform(scaler.transform(missing_row(matrices, layout)[None, :]))[0]
    fitted = {"fitted_rows": len(visible)} if params.row.learns else {}
    about = {
        "fusion": params.fusion,
        "features": params.features,
        "sources": [each.digest for each in matrices],
        **({"transductive": params.transductive} if params.row.learns else {}),
    }
    header = MatrixHeader(ids, len(missing), "float32", missing, {**about, **fitted})
    every = FeatureTable(matrices, np.arange(len(ids)), layout)
    with fresh_folder(outputs.model) as folder, progress.track(label, len(ids)) as bar:
        scaler.save(folder)
        if params.row.learns:
            fusion.save(folder)
        info = write_matrix(outputs.matrix, header, _blocks(every, (scaler, fusion), bar))
    counts = {"rows": info.rows, "dim": info.dim, **fitted}
    card = EntryCard(counts=counts, made_of={"digest": info.digest, **about})
    card.write(outputs.card)
    if states is not None:
        states.clear()
    return card


def _states(
    params: FuseParams, table: FeatureTable, device: str, settings: TrainingSettings, outputs: FuseOutputs
) -> Checkpoints | None:
    """Open the states of a fusion that learns; the others have none."""
    if settings.states is None or not params.row.learns:
        return None
    layout = [block.as_json() for block in table.layout]
    matrices = [each.digest for each in table.matrices]
    facts = {**params.model_dump(mode="json"), "options": params.options.model_dump(mode="json")}
    cause = training_cause(__name__, {**facts, "layout": layout, "matrices": matrices}, (table.rows,), device)
    return Checkpoints(settings.states, outputs.model.name, cause, settings.state_seconds)


def _visible(params: FuseParams, parts: NDArray[np.str_], matrices: Sequence[Matrix]) -> NDArray[np.int64]:
    """Return the rows that a fusion may learn from: of train, or all where it was asked for, and not without inputs."""
    seen = np.any([matrix.usable for matrix in matrices], axis=0)
    rows = np.flatnonzero(seen if params.transductive else seen & (parts == "train"))
    if not len(rows) and (params.row.learns or params.scale == "standard"):
        raise InputError(
            f"fuse: expected train rows that have one of {params.features}; found none among {len(parts)}; check the "
            "split and the fields."
        )
    return rows


def _blocks(table: FeatureTable, steps: tuple[BlockScaler, VectorFusion], bar: Tracker) -> Iterator[MatrixBlock]:
    start = 0
    for block in blocks_of(table):
        rows = np.arange(start, start + len(block))
        start += len(block)
        present = np.any([matrix.usable[rows] for matrix in table.matrices], axis=0)
        bar.advance(len(rows))
        yield MatrixBlock(steps[1].transform(steps[0].transform(block)), present, present)
