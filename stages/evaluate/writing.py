"""The files of one experiment's folder that `run` fills: tables as CSV, and what was predicted as Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from stages.evaluate.calibration import Calibration, calibration_lines
from stages.evaluate.metrics import Bools, ClassCounts
from stages.evaluate.outcomes import Robustness, metric_names, missing_lines
from stages.evaluate.params import EvaluateParams
from stages.evaluate.predictions import write_predictions
from stages.evaluate.presence import presence_lines
from stages.evaluate.scoring import Scored
from stages.evaluate.tables import ClassRow, confusion_pairs, per_class
from stages.items import Manifest
from stages.outputs import safe_cell, write_lines


@dataclass(frozen=True)
class Findings:
    """What the tables are made from: the decisions of each seed (none for regression) and what came of the tests."""

    decisions: Sequence[Bools]
    calibration: Calibration | None
    robustness: Robustness


def write_folder(folder: Path, params: EvaluateParams, manifest: Manifest, scored: Scored, found: Findings) -> None:
    """Write the per-class table over all seeds; confusion and calibration of the first; presence; missing inputs.

    What a regression has not, or what was not asked for, is a header alone.
    """
    truth, names = scored.truth, metric_names(scored.truth.task, params.top_k)
    classes, decisions = manifest.info.classes, found.decisions
    groups = manifest.groups()
    write_table(folder / "missing.csv", missing_lines(names, found.robustness))
    write_table(folder / "presence.csv", presence_lines(params, scored, manifest, names))
    write_table(folder / "calibration.csv", calibration_lines(found.calibration))
    counts = [] if truth.labels is None else [ClassCounts.of(truth.labels, each) for each in decisions]
    write_table(folder / "per_class.csv", _class_lines(classes, manifest.info.super_classes, counts))
    pairs = [] if truth.labels is None else confusion_pairs(truth.labels, decisions[0], [*map(safe_cell, classes)])
    write_table(folder / "confusion.csv", _lines(("actual", "predicted"), pairs))
    named = [groups[row] for row in truth.rows.tolist()]
    write_predictions(folder / "predictions.parquet", truth, named, scored.scores, decisions)


def write_table(path: Path, lines: Iterable[Iterable[str]]) -> None:
    """Write a CSV file, header first; its cells are safe already."""
    with write_lines(path) as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def _lines(header: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[Iterable[str]]:
    yield header
    yield from rows


def _class_lines(
    classes: Sequence[str], super_classes: Mapping[str, str], counts: Sequence[ClassCounts]
) -> Iterator[Iterable[str]]:
    yield ["class" if each.name == "name" else each.name for each in fields(ClassRow)]
    for row in per_class(classes, super_classes, counts) if counts else ():
        yield [_cell(each) for each in astuple(row)]


def _cell(value: object) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
