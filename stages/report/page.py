"""Puts the parts of the report into one self-contained page through `page.html.j2`; called by `run`."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.records import ManifestInfo
from stages.report.compare import Comparison
from stages.report.examples import Gallery
from stages.report.fitted import FittedRow
from stages.report.leaderboard import LOWER_IS_BETTER, Leaderboard
from stages.report.leaks import Leaks
from stages.report.matrices import MatrixRow
from stages.report.measures import measure_name, shown_of
from stages.report.missing import MissingData
from stages.report.mistakes import Confusion
from stages.report.pairs_plot import PairSection
from stages.report.panels import Panel
from stages.report.presence import Presence
from stages.report.provenance import Origin
from stages.report.strips import System
from stages.report.summaries import DataSummary
from stages.report.svg import Plot
from stages.report.tsne import Maps
from stages.report.words import anchor, bracketed, clock, metric_name, number, signed, size, spread

MAX_BYTES = 10_000_000
_HERE = Path(__file__).parent
_STYLES = ("page.css", "sections.css")
KINDS = {"both": "text + image", "text": "text", "image": "image", "floor": "floor", "other": "other"}


@dataclass(frozen=True)
class Page:
    """All that the page shows; each attribute is one section, or a part of its head.

    Attributes
    ----------
    title, verdict : str
        The heading and the sentence below it.
    info : ManifestInfo
        Of the data set.
    board : Leaderboard
        The experiments.
    comparison : Comparison or None
        Published figures beside measured ones; None where the run names none.
    pairs : PairSection or None
        Paired tests; None where there is nothing to test.
    plots : list of Plot
        In the order of the page.
    missing : MissingData or None
        What is lost without an input; None where nobody asked.
    presence : Presence or None
        Metrics by which inputs an item has; None where nothing tells them.
    maps : list of Maps
        t-SNE panels; may be empty.
    gallery : Gallery or None
        Examples of the best experiment; None without its predictions.
    mistakes : list of Confusion
        What the best experiment confuses; may be empty.
    systems : list of System
        The retrieval systems; may be empty.
    curve : Plot or None
        What they find within the first K; None without their curves.
    data : DataSummary
        Counts of the data and the split.
    leaks : Leaks or None
        Test items that resemble train or dev; None where `split` tells of none.
    panels : list of Panel
        The experiments, then the retrieval systems, each in full.
    matrices : list of MatrixRow
        Where the vectors come from; may be empty.
    fitted : list of FittedRow
        What was fitted for that; may be empty.
    unreadable : int
        How many pictures could not be shown.
    origin : Origin
        Code, versions, seeds, store and time.
    """

    title: str
    verdict: str
    info: ManifestInfo
    board: Leaderboard
    comparison: Comparison | None
    pairs: PairSection | None
    plots: list[Plot]
    missing: MissingData | None
    presence: Presence | None
    maps: list[Maps]
    gallery: Gallery | None
    mistakes: list[Confusion]
    systems: list[System]
    curve: Plot | None
    data: DataSummary
    leaks: Leaks | None
    panels: list[Panel]
    matrices: list[MatrixRow]
    fitted: list[FittedRow]
    unreadable: int
    origin: Origin


def render(page: Page) -> str:
    """Write the page as HTML: styles, script, drawings and pictures inside, nothing fetched from anywhere."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "metric_name": metric_name, "signed": signed, "bracketed": bracketed}
    environment.filters |= {"clock": clock, "size": size, "measure_name": measure_name}
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    template = environment.get_template("page.html.j2")
    return template.render(
        page=page,
        board=page.board,
        anchor=anchor,
        kinds=KINDS,
        spread=spread,
        lower=LOWER_IS_BETTER,
        pictures=page.data.has_pictures,
        measures=shown_of(one.metrics for one in page.systems),
        bars=_bars(page.board),
        style=Markup("".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)),  # noqa: S704 (our own files)
        script=Markup(script),  # noqa: S704 (our own file)
        script_digest=_digest(script),
    )


@dataclass(frozen=True)
class Bar:
    """How much of its cell a primary value fills, and where its interval begins and how long it is, in percent."""

    width: float
    interval: tuple[float, float] | None


def _bars(board: Leaderboard) -> dict[str, Bar]:
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


def _digest(script: str) -> str:
    """Name the only script that the browser may run: should a text slip past the escaping, it stays text."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
