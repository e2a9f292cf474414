"""Items with what the best experiment says of them: the best and the worst predicted, and the most confused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.measures.decisions import Decision
from stages.report.params import ReportParams
from stages.report.read.cards import Card, Cards
from stages.report.read.experiments import Predictions
from stages.report.read.finished import FinishedRun
from stages.report.read.outcomes import Outcomes, Tops, read_outcomes
from stages.report.sections.protocol import Section
from stages.report.words import number


def label_quality(
    scores: NDArray[np.float32], predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Grade each item by its F1 (1 when nothing is true and nothing predicted), then by how sure the scores were.

    Returns
    -------
    float64 [n]
        Larger is better. Sureness only orders items of equal F1.
    """
    shared = (predicted & truth).sum(axis=1)
    size = predicted.sum(axis=1) + truth.sum(axis=1)
    f1 = np.where(size > 0, 2 * shared / np.maximum(size, 1), 1.0)
    gap = np.abs(scores.astype(np.float64) - truth).mean(axis=1)
    # F1 values of a few labels differ by far more than this share of the gap, which stays below one thousandth.
    return np.asarray(f1 - 1e-3 * gap / (1.0 + gap))


def pick(quality: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose items to show: some among the best fifth and some among the worst fifth.

    Parameters
    ----------
    quality : float64 [n]
        Larger is better.
    count : int
        How many in all; fewer when there are fewer items.
    seed : int
        Chooses within each fifth.

    Returns
    -------
    best, worst : int64 arrays
        Positions, the best first and the worst first; no item stands in both.
    """
    count = min(count, len(quality))
    order = np.argsort(-quality, kind="stable")
    worst_size = count // 2
    best_size = count - worst_size
    pool = max(best_size, min(len(order) // 5, len(order) - worst_size))
    rng = np.random.default_rng(seed)
    best = np.sort(rng.choice(pool, best_size, replace=False))
    rest = order[pool:][::-1]
    pool = max(worst_size, min(len(order) // 5, len(rest)))
    worst = np.sort(rng.choice(pool, worst_size, replace=False)) if worst_size else np.zeros(0, np.int64)
    return order[best], rest[worst]


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
class ExampleSection(Section):
    """The examples: some of the best predicted and some of the worst."""

    name: ClassVar[str] = "examples"
    title: ClassVar[str] = "Examples"

    best: tuple[Example, ...]
    worst: tuple[Example, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> ExampleSection | None:
        """Choose the examples; None without predictions, and where nobody wants any."""
        if run.predictions is None or not run.params.examples or not run.closer:
            return None
        return choose_examples(run.predictions, str(run.scores), run.cards, run.params, run.best.decision)


def choose_examples(
    predictions: Predictions, origin: str, cards: Cards, params: ReportParams, decision: Decision
) -> ExampleSection:
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
    return ExampleSection(tuple(made[: len(best)]), tuple(made[len(best) :]))


def marks(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], classes: Sequence[str]) -> tuple[Mark, ...]:
    """Mark every label that is true or predicted, bool [K] each: hits first, then the missed, then false alarms."""
    groups: list[tuple[Outcome, NDArray[np.bool_]]] = [
        ("hit", predicted & truth),
        ("missed", truth & ~predicted),
        ("false alarm", predicted & ~truth),
    ]
    return tuple(Mark(classes[int(column)], outcome) for outcome, mask in groups for column in np.flatnonzero(mask))


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
