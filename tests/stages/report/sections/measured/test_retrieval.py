"""Top-K accuracy by K of every retrieval system, beside a blind choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.report.read.matrices import Lineage
from stages.report.read.systems import System
from stages.report.sections.measured.retrieval import curve_plot
from store.errors import InputError
from store.results.cards import EntryCard
from tests.stages.report.outcome_files import table

HEADER = "k,top_k,recall,precision,random"
FEATURES = {"by-image": "pixels", "by-both": "pixels + words"}
SYSTEMS = [System(name, EntryCard(made_of={"features": each}), ()) for name, each in FEATURES.items()]
LINEAGE = Lineage({"pixels": "image", "words": "caption"})


def test_every_system_is_told_with_its_ends_and_the_blind_choice(tmp_path: Path) -> None:
    for system, value in zip(SYSTEMS, (0.5, 0.6), strict=True):
        table(
            tmp_path / f"{system.name}.curve.csv",
            HEADER,
            f"1,{value},0.1,0.5,0.2",
            "2,0.7,0.2,0.4,0.36",
            "3,0.8,0.3,0.4,0.4",
        )
    plot = curve_plot(SYSTEMS, tmp_path, LINEAGE)
    assert plot is not None
    assert "by-image 0.50 at 1 (blind 0.20), 0.80 at 3 (blind 0.40)" in plot.svg
    assert "var(--image)" in plot.svg
    assert plot.svg.count("a blind choice") == 1


def test_without_curves_nothing_is_drawn_and_a_malformed_one_is_refused(tmp_path: Path) -> None:
    assert curve_plot(SYSTEMS, tmp_path, LINEAGE) is None
    table(tmp_path / "by-both.curve.csv", HEADER, "1,high,0,0,0")
    with pytest.raises(InputError, match=r"by-both\.curve\.csv.*run `diptych retrieve` again"):
        curve_plot(SYSTEMS, tmp_path, LINEAGE)
