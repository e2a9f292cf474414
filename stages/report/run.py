"""`report` from end to end: read what the run left, put the page together, and write it and what stands beside it."""

from __future__ import annotations

from typing import Any

from stages.contract import Progress
from stages.report.inputs import ReportInputs, ReportOutputs
from stages.report.page import MAX_BYTES, read_page, render
from stages.report.params import ReportParams
from stages.report.read.finished import FinishedRun
from stages.report.sections.protocol import WritesBeside
from store.errors import RunError
from store.files.outputs import write_text


def run(params: ReportParams, inputs: ReportInputs, outputs: ReportOutputs, progress: Progress) -> dict[str, Any]:
    """Write the page, the table and, where the params name published figures, the comparison.

    Returns
    -------
    dict
        ``experiments``, ``best``, ``primary``, ``verdict`` and ``bytes``, the size of the page.

    Raises
    ------
    InputError
        When no experiment was evaluated, or the files do not belong together. Nothing is written then.
    RunError
        When the page would not stay under 10 MB.
    """
    finished = FinishedRun(params, inputs)
    with progress.track("report", None) as tracker:
        tracker.advance(note="reading")
        page = read_page(finished)
        tracker.advance(note="writing")
        text = render(page)
        size = len(text.encode())
        if size > MAX_BYTES:
            raise RunError(f"expected a page of at most {MAX_BYTES:,} bytes, found {size:,}; lower report.examples")
        for section in page.sections:
            if isinstance(section, WritesBeside):
                section.write(outputs)
        write_text(outputs.page, text)
    board = finished.board
    known = {"experiments": len(board.experiments), "best": finished.best.name, "primary": board.primary}
    return {**known, "verdict": page.verdict, "bytes": size}
