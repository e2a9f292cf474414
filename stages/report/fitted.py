"""What was fitted without being an experiment, and on what: the cards of `fit` and `fuse`, for the foot of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.report.readings import read_json


@dataclass(frozen=True)
class FittedRow:
    """One entry of `fit`, or of `fuse` where the fusion learns.

    Attributes
    ----------
    name : str
    what : str
        The encoder or the fusion.
    inputs : str
        The field, or the features.
    rows, epochs : int
    loss : str
        "" without epochs.
    transductive : bool
        Whether it saw the inputs of dev and test too.
    """

    name: str
    what: str
    inputs: str
    rows: int
    epochs: int
    loss: str
    transductive: bool


def read_fitted(files: Sequence[Path]) -> list[FittedRow]:
    """Read the cards of some entries of `fit`, in their order; what one of them lacks stays blank or 0."""
    return [_row(path.stem, read_json(path)) for path in files]


def read_fused(files: Sequence[Path]) -> list[FittedRow]:
    """Read the cards of some entries of `fuse`, in their order; those whose fusion learns nothing are left out."""
    cards = [(path.stem, read_json(path)) for path in files]
    return [
        FittedRow(
            name,
            str(card["fusion"]),
            " + ".join(card["features"]),
            int(card["fitted_rows"]),
            0,
            "",
            card["transductive"],
        )
        for name, card in cards
        if "fitted_rows" in card
    ]


def _row(name: str, values: Mapping[str, Any]) -> FittedRow:
    loss = values.get("loss")
    return FittedRow(
        name=name,
        what=str(values.get("encoder", "")),
        inputs=str(values.get("field", "")),
        rows=int(values.get("rows", 0)),
        epochs=int(values.get("epochs", 0)),
        loss="" if loss is None else f"{float(loss):.4g}",
        transductive=bool(values.get("transductive", False)),
    )
