"""A run of retrieval systems beside which only a floor was trained: the page speaks of the systems."""

from __future__ import annotations

from pathlib import Path

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.run import run
from tests.stages.report.run_folder import SYSTEMS, RunFolder


def test_the_page_speaks_of_the_systems_and_not_of_what_a_floor_gets_wrong(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    folder.write_encoders()
    folder.write_experiment(SYSTEMS[-1])
    before = run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())["verdict"]
    assert before.startswith("dummy is the only experiment")
    assert 'id="examples"' in folder.outputs.page.read_text("utf-8")
    folder.write_retrieval()
    said = run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())["verdict"]
    assert said.startswith("The retrieval system both-knn finds something relevant first for 0.500 of the queries")
    page = folder.outputs.page.read_text("utf-8")
    assert 'id="retrieval"' in page
    assert page.count("[0.125, 0.875]") == 2  # in the table and in the system's panel
    assert "top_1_low" not in page
    assert not [name for name in ("plots", "examples", "mistakes") if f'id="{name}"' in page]
    assert 'href="#plots"' not in page
