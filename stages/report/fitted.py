"""What was fitted before `embed`, and on what: the cards of `fit`, for the foot of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.report.readings import read_json


@dataclass(frozen=True)
class FittedRow:
    """One entry of `fit`; `transductive`: it saw the inputs of dev and test too; `loss` is "" without epochs."""

    name: str
    encoder: str
    field: str
    rows: int
    epochs: int
    loss: str
    transductive: bool


def read_fitted(files: Sequence[Path]) -> list[FittedRow]:
    """Read the cards of some entries of `fit`, in their order; what one of them lacks stays blank or 0."""
    return [_row(path.stem, read_json(path)) for path in files]


def _row(name: str, values: Mapping[str, Any]) -> FittedRow:
    loss = values.get("loss")
    return FittedRow(
        name=name,
        encoder=str(values.get("encoder", "")),
        field=str(values.get("field", "")),
        rows=int(values.get("rows", 0)),
        epochs=int(values.get("epochs", 0)),
        loss="" if loss is None else f"{float(loss):.4g}",
        transductive=bool(values.get("transductive", False)),
    )
