"""Metrics by present inputs: a table for one pattern, a plot for several."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.report.sections.measured.presence import PresenceSection, read_presence
from store.errors import InputError
from tests.stages.report.outcome_files import table
from tests.stages.report.read.test_leaderboard import BOTH, TEXT, board

HEADER = "pattern,rows,f1_macro,subset_accuracy"


def read(root: Path, *lines: str) -> PresenceSection | None:
    table(root / "fused" / "presence.csv", HEADER, *lines)
    return read_presence(board(BOTH, TEXT), root)


def test_patterns_come_in_their_order_with_counts_and_a_plot(tmp_path: Path) -> None:
    table(tmp_path / "words" / "presence.csv", HEADER, "image only,4,0.1,0")
    found = read(tmp_path, "neither,1,,0.5", "image only,4,0.25,0.1", "image and text,7,0.5,0.2")
    assert found is not None
    assert [(one.name, one.rows) for one in found.patterns] == [
        ("image and text", 7),
        ("image only", 4),
        ("neither", 1),
    ]
    assert (found.metric, found.values["fused"]["image only"], found.values["words"]) == (
        "f1_macro", 0.25, {"image only": 0.1},
    )  # fmt: skip
    assert "words image only 0.100" in found.plot.svg


def test_items_that_are_all_alike_need_no_section(tmp_path: Path) -> None:
    assert read(tmp_path, "image and text,12,0.5,0.2") is None


def test_nothing_told_and_nonsense_told(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    with pytest.raises(InputError, match=r"presence\.csv.*run `diptych evaluate` again"):
        read(tmp_path, "image only,some,0.5,0.2")
