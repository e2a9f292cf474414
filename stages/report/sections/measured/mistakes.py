"""What the best experiment takes for what, with pictures: a few items of its most frequent confusions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.report.read.cards import Cards
from stages.report.read.finished import FinishedRun
from stages.report.read.outcomes import Outcomes, Tops, read_outcomes
from stages.report.sections.measured.examples import Example, marks
from stages.report.sections.protocol import Section

PAIRS = 4
EACH = 3
_Pair = tuple[int, int]


@dataclass(frozen=True)
class Mistake:
    """An item on which it happened; the score is None where the wrong class is not among the best five."""

    example: Example
    score: float | None


@dataclass(frozen=True)
class Confusion:
    """One class taken for another: how many times, and some of the items, the surest first."""

    actual: str
    predicted: str
    count: int
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class MistakeSection(Section):
    """The most frequent confusions of the best experiment."""

    name: ClassVar[str] = "mistakes"
    title: ClassVar[str] = "Most confused"

    confusions: tuple[Confusion, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> MistakeSection | None:
        """Choose the confusions; None where nothing is confused."""
        confusions = read_mistakes(run.best.name, run.cards, run.evaluated) if run.closer else []
        return cls(tuple(confusions)) if confusions else None


def read_mistakes(experiment: str, cards: Cards, folder: Path) -> list[Confusion]:
    """Choose the most frequent confusions of an experiment's first seed; none for a regression or without outcomes.

    A missed class is taken for each class that is wrongly predicted for the same item, as in the heat map.

    Parameters
    ----------
    experiment : str
    cards : Cards
        Makes what the page shows of items.
    folder : Path
        `data/evaluate`.

    Raises
    ------
    InputError
        When the outcomes are malformed or belong to another manifest.
    """
    if cards.manifest.info.task == "regression":
        return []
    outcomes = read_outcomes(folder / experiment / "predictions.parquet", cards)
    return [] if outcomes is None else _confusions(outcomes, cards)


def _confusions(outcomes: Outcomes, cards: Cards) -> list[Confusion]:
    classes, tops = cards.manifest.info.classes, outcomes.tops[0]
    truth, predicted = (np.asarray(each, np.bool_) for each in (outcomes.truth, outcomes.predicted[0]))
    found = _pairs(truth, predicted)
    order = sorted(found, key=lambda pair: (-len(found[pair]), classes[pair[0]], classes[pair[1]]))
    confusions = []
    for actual, wrong in order[:PAIRS]:
        scores = _scores(tops, wrong)
        rows = sorted(found[actual, wrong], key=lambda row: (-np.nan_to_num(scores[row], nan=-1.0), row))[:EACH]
        shown = zip(rows, cards.of(outcomes.rows[rows]), strict=True)
        mistakes = [
            Mistake(Example(card, marks(predicted[row], truth[row], classes), ""), _known(scores[row]))
            for row, card in shown
        ]
        confusions.append(Confusion(classes[actual], classes[wrong], len(found[actual, wrong]), tuple(mistakes)))
    return confusions


def _pairs(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[_Pair, list[int]]:
    """Find the rows of each (actual, predicted) pair of different classes."""
    missed, wrong = truth & ~predicted, predicted & ~truth
    found: dict[_Pair, list[int]] = {}
    for row in np.flatnonzero(missed.any(axis=1) & wrong.any(axis=1)).tolist():
        for actual in np.flatnonzero(missed[row]).tolist():
            for other in np.flatnonzero(wrong[row]).tolist():
                found.setdefault((actual, other), []).append(row)
    return found


def _scores(tops: Tops, column: int) -> NDArray[np.float64]:
    """Return the score of one class for every row, NaN where it is not among the best: float64 [n]."""
    scores = np.where(tops.classes == column, tops.scores, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(scores), scores, np.nan)


def _known(score: float) -> float | None:
    return None if np.isnan(score) else float(score)
