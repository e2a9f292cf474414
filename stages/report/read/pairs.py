"""Paired tests: the best experiment against every other, each fusion against the best single modality."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.measures.swaps import Paired, holm, paired_f1, paired_mean
from stages.report.read.cards import Cards
from stages.report.read.experiments import Experiment
from stages.report.read.leaderboard import Leaderboard
from stages.report.read.outcomes import Outcomes, read_outcomes
from store.files.outputs import safe_cell, write_lines

LEVEL = 0.05  # of the corrected p
_HEADER = (
    "first", "second", "metric", "first_value", "second_value", "difference", "low", "high", "p", "p_holm", "groups",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two experiments on the same rows.

    Attributes
    ----------
    first, second : str
        Their names.
    against : "best" or "single"
        Whether it is the best experiment against another, or a fusion against the best single modality.
    metric : str
        What was tested.
    first_value, second_value : float
        Its means over the seeds; NaN where the metrics do not tell it.
    paired : Paired
        Their difference, its interval and p.
    p_holm : float
        The p corrected for the number of pairs tested.
    groups : int
        How many groups were drawn, or swapped.
    """

    first: str
    second: str
    against: Literal["best", "single"]
    metric: str
    first_value: float
    second_value: float
    paired: Paired
    p_holm: float
    groups: int

    @property
    def told_apart(self) -> bool:
        """Whether the corrected p is below 0.05."""
        return self.p_holm < LEVEL


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write one line per pair, the differences first minus second, with six decimals."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_HEADER)
        for one in pairs:
            values = (one.first_value, one.second_value, one.paired.difference, one.paired.low, one.paired.high)
            numbers = [f"{value:.6f}" for value in (*values, one.paired.p, one.p_holm)]
            writer.writerow([safe_cell(one.first), safe_cell(one.second), one.metric, *numbers, one.groups])


_LISTED = 5  # best classes that the outcomes hold
_Against = Literal["best", "single"]


@dataclass(frozen=True)
class PairTests:
    """The tests of one run.

    Attributes
    ----------
    metric : str
        What was tested: the one that orders the leaderboard, or of those that can be tested the one of the task.
    pairs : tuple of Pair
        The best against the others in their order, then the fusions against the best single modality.
    left_out : mapping of str to str
        From a reason to the experiments that it kept out.
    """

    metric: str
    pairs: tuple[Pair, ...]
    left_out: Mapping[str, str]

    def of(self, against: str) -> list[Pair]:
        """Return the pairs of one kind."""
        return [one for one in self.pairs if one.against == against]


def read_pairs(board: Leaderboard, cards: Cards, folder: Path) -> PairTests | None:
    """Test all pairs; None without a second experiment or without the outcomes of the best.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    cards : Cards
        Knows the items and their classes.
    folder : Path
        `data/evaluate`.

    Raises
    ------
    InputError
        When outcomes belong to another manifest, or are malformed.
    """
    best = board.experiments[0]
    base = _read(best, cards, folder)
    if base is None:
        return None
    metric = _tested(board.primary, best, base)
    single = _single(board)
    rival = _read(single, cards, folder) if single is not None else None
    rival = rival if rival is not None and rival.ids == base.ids else None
    pairs: list[Pair] = []
    lost: dict[str, list[str]] = {}
    for one in board.experiments[1:]:
        found = _read(one, cards, folder)
        if found is None or found.ids != base.ids:
            reason = (
                "evaluated without outcomes of each row" if found is None else f"scored on other rows than {best.name}"
            )
            lost.setdefault(reason, []).append(one.name)
            continue
        pairs.append(_pair("best", (best, base), (one, found), metric))
        if single is not None and rival is not None and board.kinds[one.name] == "both":
            pairs.append(_pair("single", (one, found), (single, rival), metric))
    if not pairs:
        return None
    return PairTests(metric, tuple(_corrected(pairs)), {reason: ", ".join(names) for reason, names in lost.items()})


def _read(experiment: Experiment, cards: Cards, folder: Path) -> Outcomes | None:
    return read_outcomes(folder / experiment.name / "predictions.parquet", cards)


def _single(board: Leaderboard) -> Experiment | None:
    """Return the best single modality; None where it is the best of all, and so tested against all others anyway."""
    single = board.best("text", "image")
    return None if single is None or single.name == board.experiments[0].name else single


def _tested(primary: str, best: Experiment, outcomes: Outcomes) -> str:
    if best.task == "regression":
        return "mse"
    known = {"f1_macro", "subset_accuracy"} if best.task == "multilabel" else {"f1_macro", "accuracy"}
    if best.task == "multiclass" and _listed(primary) <= min(_LISTED, outcomes.truth.shape[1]):
        known.add(primary)
    return primary if primary in known else "f1_macro"


def _listed(metric: str) -> float:
    """Return the K of a top-K accuracy, and infinity for anything else."""
    head, _, k = metric.partition("top_")
    return int(k) if head == "" and k.isdecimal() else math.inf


def _pair(
    against: _Against, first: tuple[Experiment, Outcomes], second: tuple[Experiment, Outcomes], metric: str
) -> Pair:
    (one, said), (other, replied) = first, second
    paired = _paired(said, replied, metric)
    return Pair(
        first=one.name,
        second=other.name,
        against=against,
        metric=metric,
        first_value=one.means.get(metric, math.nan),
        second_value=other.means.get(metric, math.nan),
        paired=paired,
        p_holm=paired.p,
        groups=len(np.unique(said.groups)),
    )


def _paired(first: Outcomes, second: Outcomes, metric: str) -> Paired:
    if metric == "f1_macro":
        truth, one, two = (_bools(each) for each in ([first.truth], first.predicted, second.predicted))
        return paired_f1(truth[0], one, two, first.groups)
    return paired_mean(_by_row(first, metric), _by_row(second, metric), first.groups)


def _bools(arrays: Sequence[NDArray[np.bool_] | NDArray[np.float64]]) -> list[NDArray[np.bool_]]:
    return [np.asarray(each, np.bool_) for each in arrays]


def _by_row(outcomes: Outcomes, metric: str) -> NDArray[np.float64]:
    """Return what each row counts, the mean over the seeds: float64 [n]."""
    if metric == "mse":
        rows = [np.square(each - outcomes.truth) for each in outcomes.predicted]
    elif metric in {"accuracy", "subset_accuracy"}:
        rows = [(each == outcomes.truth).all(axis=1) for each in outcomes.predicted]
    else:
        first, actual = int(_listed(metric)), outcomes.truth.argmax(axis=1)[:, None]
        rows = [(each.classes[:, :first] == actual).any(axis=1) for each in outcomes.tops]
    return np.asarray(np.mean(rows, axis=0), np.float64)


def _corrected(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield the pairs with Holm's correction over all of them, those of the best first."""
    corrected = holm([one.paired.p for one in pairs])
    tested = [replace(one, p_holm=p) for one, p in zip(pairs, corrected, strict=True)]
    for against in ("best", "single"):
        yield from (one for one in tested if one.against == against)
