"""The sentence at the top of the page, computed from the `leaderboard`: who won, by how much, and is that much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.report.read.data import leak_warning
from stages.report.read.experiments import Experiment
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import LOWER_IS_BETTER, Leaderboard
from stages.report.read.pairs import Pair
from stages.report.read.systems import blind_of, lead_of, rank_of
from stages.report.words import metric_name, number, p_value, score


def sentences(run: FinishedRun) -> str:
    """Say what the run shows; where nothing is trained but a floor, what retrieval does comes first.

    What makes the figures doubtful, test items that resemble train or dev, comes last.
    """
    trained = verdict(run.board, () if run.tests is None else run.tests.pairs)
    found = retrieval_verdict({system.name: system.metrics for system in run.systems})
    said = (found, trained) if run.board.only_floors else (trained, found)
    return " ".join(filter(None, (*said, leak_warning(run.leaks, run.data.overlaps))))


def verdict(board: Leaderboard, tests: Sequence[Pair] = ()) -> str:
    """Say in a few sentences what the leaderboard shows, also when it is not what one hoped for.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    tests : sequence of Pair
        Paired tests; the one of what is compared here tells whether it may be chance.
    """
    best = board.experiments[0]
    name = metric_name(board.primary)
    if len(board.experiments) == 1:
        return f"{best.name} is the only experiment: {name} {_of(best, board)}."
    if board.kinds[best.name] == "floor":
        return f"No experiment beats the floor: {best.name}, which looks at nothing, has {name} {_of(best, board)}."
    return f"{_comparison(board, best, name, tests)}{_floor(board)}"


def retrieval_verdict(systems: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which retrieval system is best by the measure that leads, beside a blind choice; "" without one.

    Parameters
    ----------
    systems : mapping of str to mapping
        The metrics of each system; those without the measure that leads the best are passed over.
    """
    ranked = sorted(systems, key=lambda name: rank_of(name, systems[name]))
    lead = lead_of(systems[ranked[0]]) if ranked else None
    if lead is None:
        return ""
    best, known = ranked[0], [name for name in ranked if lead in systems[name]]
    value = systems[best][lead]
    alike = sum(systems[name][lead] == value for name in known) - 1
    also = f", like {alike} other{'' if alike == 1 else 's'}" if alike else ""
    blind = blind_of(lead, systems[best])
    beside = "" if blind is None else f" (a blind choice: {number(blind)})"
    few = f"Of {len(known)} retrieval systems {best}" if len(known) > 1 else f"The retrieval system {best}"
    if lead == "top_1":
        return f"{few} finds something relevant first for {number(value)} of the queries{beside}{also}."
    k = lead.removeprefix("jaccard_")
    found = "first item has" if k == "1" else f"first {k} items have"
    index = f"a mean Jaccard index of labels of {number(value)}"
    return f"{few} agrees best with the query: the {found} {index}{beside}{also}."


def _of(experiment: Experiment, board: Leaderboard) -> str:
    runs = "1 seed" if experiment.seeds == 1 else f"{experiment.seeds} seeds"
    return f"{score(experiment, board.primary)} ({runs})"


def _comparison(board: Leaderboard, best: Experiment, name: str, tests: Sequence[Pair]) -> str:
    single, fusion = board.best("text", "image"), board.best("both")
    lead = f"{best.name} is best with {name} {_of(best, board)}"
    if single is None or fusion is None:
        lacking = "experiment on a single modality" if single is None else "fusion of both modalities"
        return f"{lead}; there is no {lacking} to compare it with."
    kind = board.kinds[single.name]
    if best.name == single.name:
        return (
            f"Fusion does not win here: {best.name}, on the {kind} alone, is best with {name} {_of(best, board)}; "
            f"the best fusion, {fusion.name}, has {_of(fusion, board)}, {_gap(board, best, fusion)} behind"
            f"{_tested(best, fusion, tests) or ''}."
        )
    return (
        f"{lead}, {_gap(board, best, single)} {'above' if board.descending else 'below'} the best single modality, "
        f"{single.name} ({kind} only) with {_of(single, board)}"
        f"{_tested(best, single, tests) or _doubt(board, best, single)}."
        f"{_steadiest(board, best, single)}"
    )


def _steadiest(board: Leaderboard, best: Experiment, single: Experiment) -> str:
    """Name the best fusion with several seeds when the winner has one: a deviation is worth more than a rank."""
    if best.seeds > 1:
        return ""
    several = [each for each in board.experiments if board.kinds[each.name] == "both" and each.seeds > 1]
    if not several or several[0].means[board.primary] == single.means[board.primary]:
        return ""
    other = several[0]
    ahead = (other.means[board.primary] > single.means[board.primary]) == board.descending
    side = "ahead of" if ahead else "behind"
    gap = _gap(board, other, single)
    return f" Over several seeds {other.name} has {_of(other, board)}, {gap} {side} {single.name}."


def _gap(board: Leaderboard, one: Experiment, other: Experiment) -> str:
    gap = abs(one.means[board.primary] - other.means[board.primary])
    return f"{_size(gap, board.primary)}{_unit(board.primary)}"


def _size(gap: float, metric: str) -> str:
    if not _unit(metric):
        return f"{'−' if gap < 0 else ''}{number(abs(gap))}"
    return f"{100 * gap:.1f}".replace("-", "−")


def _unit(metric: str) -> str:
    return "" if metric in {"mse", "r2"} else " points"


def _tested(first: Experiment, second: Experiment, tests: Sequence[Pair]) -> str | None:
    """Say what the paired test of the two found; None where there is none."""
    test = next((one for one in tests if (one.first, one.second) == (first.name, second.name)), None)
    if test is None:
        return None
    sign = -1 if test.metric in LOWER_IS_BETTER else 1
    low, high = sorted((sign * test.paired.low, sign * test.paired.high))
    found = f"{_size(low, test.metric)} to {_size(high, test.metric)}{_unit(test.metric)} of {metric_name(test.metric)}"
    told = f"(95 % interval {found} for this pair alone; corrected for all pairs, {p_value(test.p_holm)})"
    once = ", of one training each, which tells nothing of other seeds"
    seeds = once if test.told_apart and min(first.seeds, second.seeds) < 2 else ""
    verb = "tells the two apart" if test.told_apart else "cannot tell that from chance"
    return f"; a paired test over {test.groups:,} groups {verb} {told}{seeds}"


def _doubt(board: Leaderboard, one: Experiment, other: Experiment) -> str:
    """Warn when the gap is no larger than the two deviations together, or when nobody can know."""
    if min(one.seeds, other.seeds) < 2:
        return "; with a single seed nobody can tell how much of it is chance"
    both = one.deviations.get(board.primary, 0.0) + other.deviations.get(board.primary, 0.0)
    gap = abs(one.means[board.primary] - other.means[board.primary])
    return "; that is within the two deviations, so it may be chance" if gap <= both else ""


def _floor(board: Leaderboard) -> str:
    floor = board.best("floor")
    return "" if floor is None else f" The floor, {floor.name}, which looks at nothing, has {_of(floor, board)}."
