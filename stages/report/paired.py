"""What a paired test of two experiments found, and `pairs.csv`; `pairs` tests, `verdict` asks, `page` shows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.outputs import safe_cell, write_lines
from stages.swaps import Paired

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
