"""All experiments with all their metrics, best first, and `leaderboard.csv` with the same numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stages.report.inputs import ReportOutputs
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import Leaderboard, write_leaderboard
from stages.report.sections.protocol import Section


@dataclass(frozen=True)
class Bar:
    """How much of its cell a primary value fills, and where its interval begins and how long it is, in percent."""

    width: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class LeaderboardSection(Section):
    """The table, and for each experiment the bar behind its primary value."""

    name: ClassVar[str] = "leaderboard"
    title: ClassVar[str] = "Leaderboard"

    board: Leaderboard
    bars: Mapping[str, Bar]

    @classmethod
    def read(cls, run: FinishedRun) -> LeaderboardSection:
        """Order the experiments."""
        return cls(run.board, bars_of(run.board))

    def write(self, outputs: ReportOutputs) -> None:
        """Write the CSV."""
        write_leaderboard(outputs.leaderboard, self.board)


def bars_of(board: Leaderboard) -> dict[str, Bar]:
    """Tell the bars of all experiments: of 1, or of the largest value or end of an interval where that is more."""
    ends = {one.name: one.intervals.get(board.primary) for one in board.experiments}
    values = {one.name: one.means[board.primary] for one in board.experiments}
    known = [value for value in (*values.values(), *(pair[1] for pair in ends.values() if pair)) if value > 0]
    scale = 100 / max([*([1.0] if board.descending else []), *known], default=1.0)

    def at(value: float) -> float:
        return 0.0 if math.isnan(value) else round(scale * max(0.0, value), 2)

    return {
        name: Bar(
            at(value), None if (pair := ends[name]) is None else (at(pair[0]), round(at(pair[1]) - at(pair[0]), 2))
        )
        for name, value in values.items()
    }
