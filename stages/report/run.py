"""`report` from end to end: its sections in order, the page that they make, and what is written beside it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.contract import Progress
from stages.report.inputs import ReportInputs, ReportOutputs
from stages.report.params import ReportParams
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import KINDS, LOWER_IS_BETTER
from stages.report.read.systems import measure_name
from stages.report.sections.made_of.data import DataSection, EncoderSection, FittedSection
from stages.report.sections.made_of.experiments import ExperimentSection
from stages.report.sections.made_of.provenance import ProvenanceSection
from stages.report.sections.measured.examples import ExampleSection, MistakeSection
from stages.report.sections.measured.leaderboard import LeaderboardSection
from stages.report.sections.measured.maps import MapSection
from stages.report.sections.measured.missing import MissingSection
from stages.report.sections.measured.pairs import PairSection
from stages.report.sections.measured.plots import PlotSection
from stages.report.sections.measured.presence import PresenceSection
from stages.report.sections.measured.published import PublishedSection
from stages.report.sections.measured.retrieval import RetrievalSection
from stages.report.sections.protocol import Section, WritesBeside
from stages.report.verdict import sentences
from stages.report.words import anchor, bracketed, clock, metric_name, number, signed, size, spread
from store.errors import RunError
from store.files.outputs import write_text

MAX_BYTES = 10_000_000
SECTIONS: tuple[type[Section], ...] = (
    LeaderboardSection,
    PublishedSection,
    PairSection,
    PlotSection,
    MissingSection,
    PresenceSection,
    MapSection,
    ExampleSection,
    MistakeSection,
    RetrievalSection,
    ExperimentSection,
    DataSection,
    EncoderSection,
    FittedSection,
    ProvenanceSection,
)
"""All that a page can have, in its order."""

TEMPLATES = Path(__file__).parent / "templates"
_FOLDERS = (TEMPLATES, TEMPLATES / "measured", TEMPLATES / "made_of")
_STYLES = ("page.css", "sections.css")


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes
    ----------
    title, verdict : str
        The heading and the sentences below it.
    run : FinishedRun
        What the sections were read from.
    sections : tuple of Section
        Those that have something to say, in the order of the page.
    """

    title: str
    verdict: str
    run: FinishedRun
    sections: tuple[Section, ...]


def read_page(run: FinishedRun) -> Page:
    """Read and compute all that the page shows.

    Raises
    ------
    InputError
        When no experiment was evaluated, or the files do not belong together.
    """
    said = sentences(run)
    found = [section.read(run) for section in SECTIONS]
    return Page(run.params.title, said, run, tuple(section for section in found if section is not None))


def render(page: Page) -> str:
    """Write the page as HTML: styles, script, drawings and pictures inside, nothing fetched from anywhere."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "metric_name": metric_name, "signed": signed, "bracketed": bracketed}
    environment.filters |= {"clock": clock, "size": size, "measure_name": measure_name}
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        page=page,
        info=page.run.info,
        board=page.run.board,
        pictures=page.run.data.has_pictures,
        anchor=anchor,
        kinds=KINDS,
        spread=spread,
        lower=LOWER_IS_BETTER,
        style=Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in _STYLES)),  # noqa: S704 (our own files)
        script=Markup(script),  # noqa: S704 (our own file)
        script_digest=_digest(script),
    )


def _digest(script: str) -> str:
    """Name the only script that the browser may run: should a text slip past the escaping, it stays text."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


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
