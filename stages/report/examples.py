"""Test items with what the best experiment says of them: chosen by `decisions`, shown by `page`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stages.decisions import Decision
from stages.report.cards import Card, Cards
from stages.report.decisions import label_quality, pick
from stages.report.finished import FinishedRun
from stages.report.params import ReportParams
from stages.report.readings import Predictions
from stages.report.section import Section
from stages.report.words import number

Outcome = Literal["hit", "missed", "false alarm"]


@dataclass(frozen=True)
class Mark:
    """A label and what became of it."""

    label: str
    outcome: Outcome


@dataclass(frozen=True)
class Example:
    """A card and the verdict of the best experiment: marks for classes, a value for a regression."""

    card: Card
    marks: tuple[Mark, ...]
    predicted: str


@dataclass(frozen=True)
class Gallery(Section):
    """The examples: some of the best predicted and some of the worst."""

    name: ClassVar[str] = "examples"
    title: ClassVar[str] = "Examples"

    best: tuple[Example, ...]
    worst: tuple[Example, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> Gallery | None:
        """Choose the examples; None without predictions, and where nobody wants any."""
        if run.predictions is None or not run.params.examples or not run.closer:
            return None
        return choose_examples(run.predictions, str(run.scores), run.cards, run.params, run.best.decision)


def choose_examples(
    predictions: Predictions, origin: str, cards: Cards, params: ReportParams, decision: Decision
) -> Gallery:
    """Choose labelled test items and mark what the experiment says of them.

    Parameters
    ----------
    predictions : Predictions
        Of one experiment.
    origin : str
        The file they come from, for messages.
    cards : Cards
        Makes what the page shows.
    params : ReportParams
        How many to show, and the seed that chooses among equals.
    decision : Decision
        How scores become labels.

    Raises
    ------
    InputError
        When the predictions belong to another manifest.
    """
    manifest = cards.manifest
    rows = cards.rows(predictions.ids, origin)
    kept = np.flatnonzero(manifest.labelled()[rows])
    rows, scores = rows[kept], predictions.scores[kept]
    if manifest.info.task == "regression":
        quality = -np.abs(scores[:, 0].astype(np.float64) - manifest.targets()[rows])
        said: list[tuple[tuple[Mark, ...], str]] = [((), number(float(value))) for value in scores[:, 0]]
    else:
        truth = cards.truth[rows]
        chosen = decision.classes(scores, manifest.info.task)
        quality = label_quality(scores, chosen, truth)
        said = [(marks(one, other, manifest.info.classes), "") for one, other in zip(chosen, truth, strict=True)]
    best, worst = pick(quality, params.examples, params.seed)
    shown = np.concatenate([best, worst])
    made = [Example(card, *said[place]) for card, place in zip(cards.of(rows[shown]), shown, strict=True)]
    return Gallery(tuple(made[: len(best)]), tuple(made[len(best) :]))


def marks(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], classes: Sequence[str]) -> tuple[Mark, ...]:
    """Mark every label that is true or predicted, bool [K] each: hits first, then the missed, then false alarms."""
    groups: list[tuple[Outcome, NDArray[np.bool_]]] = [
        ("hit", predicted & truth),
        ("missed", truth & ~predicted),
        ("false alarm", predicted & ~truth),
    ]
    return tuple(Mark(classes[int(column)], outcome) for outcome, mask in groups for column in np.flatnonzero(mask))
