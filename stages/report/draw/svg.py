"""A matplotlib figure as inline SVG that takes its colours from the page, and the looks that all drawings share."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.report.read.leaderboard import Kind

# matplotlib knows no CSS variables. Each colour is drawn as a number that nothing else uses and renamed afterwards, so
# that one drawing is readable on a light and on a dark page.
INK, MUTED, GRID = "#010101", "#010102", "#010103"
BEST, TEXT, IMAGE, FLOOR, CARD = "#010104", "#010105", "#010106", "#010107", "#010108"
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--line", BEST: "--both", TEXT: "--text", IMAGE: "--image", FLOOR: "--floor",
    CARD: "--card",
}  # fmt: skip

LOOKS: Mapping[Kind, tuple[str, str, str]] = {
    "both": (BEST, "o", "text and image"),
    "text": (TEXT, "^", "text only"),
    "image": (IMAGE, "s", "image only"),
    "floor": (FLOOR, "X", "floor (looks at nothing)"),
    "other": (MUTED, "D", "other"),
}

WIDTH = 5.3  # inches of 72 units: about what a phone shows unshrunk; a desk shows it larger
_PHONE = 5.6  # inches of 72 units
SHOWN_CLASSES = 40

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the fonts of the page
    "text.parse_math": False,  # a label with two dollar signs is a label
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
}


@dataclass(frozen=True)
class Plot:
    """One figure of the page.

    Attributes
    ----------
    name : str
        Unique on the page; also its anchor.
    title, caption : str
        What stands above and below.
    svg : Markup
        The drawing, with its size and a description for those who cannot see it.
    """

    name: str
    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True)
class Words:
    """What is written around a drawing: title, caption below, and the description read to those who cannot see it."""

    title: str
    caption: str
    alt: str


def draw(name: str, words: Words, size: tuple[float, float], paint: Callable[[Figure], None]) -> Plot:
    """Draw one figure.

    Parameters
    ----------
    name : str
        Unique on the page.
    words : Words
        What is written around it.
    size : (float, float)
        Width and height in inches of 72 units.
    paint : callable
        Draws into the figure it is given.

    Returns
    -------
    Plot
        The same bytes for the same drawing.
    """
    # The salt names the inner ids: one per figure, or two figures on one page would share their clip paths.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": f"diptych-{name}"}), warnings.catch_warnings():
        # The drawing font lacks many scripts, which matters only to the measuring: the browser draws the letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return Plot(name, words.title, words.caption, Markup(_inline(stream.getvalue(), size, words.alt)))  # noqa: S704 (matplotlib escapes all text)


def _inline(document: str, size: tuple[float, float], alt: str) -> str:
    """Cut the document down to an element of the page."""
    body = document[document.index(">", document.index("<svg")) + 1 :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would apply to the whole page
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # every figure has an "axes_1"
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    width, height = (f"{72 * side:.0f}" for side in size)
    # On a phone a wide drawing is scrolled within its frame, since shrinking would make it illegible.
    kind = ' class="wide"' if size[0] > _PHONE else ""
    return (
        f'<svg{kind} role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{body}'
    )


def bare(axes: Axes, grid: str = "x") -> None:
    """Leave nothing of the frame but thin lines across one axis."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="x" if grid == "x" else "y")
    axes.set_axisbelow(True)
