"""How much of the variance the components of each reduction keep: read from `reduce`'s files, drawn as curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.errors import InputError
from stages.report.lineage import Lineage
from stages.report.readings import read_json
from stages.report.svg import BEST, IMAGE, INK, MUTED, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.tables import read_table
from stages.report.words import shorten

SHOWN = 10
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)), (0, (8, 2)))
_COLOURS = {frozenset({"text"}): TEXT, frozenset({"image"}): IMAGE, frozenset({"text", "image"}): BEST}


@dataclass(frozen=True)
class Kept:
    """The share of the variance that the first 1, 2, ... components of one reduction keep, float64 [components]."""

    name: str
    colour: str
    cumulative: NDArray[np.float64]


def variance_plot(cards: Sequence[Path], folder: Path, lineage: Lineage) -> Plot | None:
    """Draw one curve per reduction; None where none tells its variance.

    Parameters
    ----------
    cards : sequence of Path
        The metrics files of `reduce`.
    folder : Path
        `data/reduce`, with `<name>.variance.csv`; where that is not there, the card's `explained` is taken.
    lineage : Lineage
        Tells what a reduction shows, for its colour.

    Raises
    ------
    InputError
        When a file is malformed.
    """
    known = [one for one in _read(cards, folder, lineage) if len(one.cumulative)]
    if not known:
        return None
    shown = known[:SHOWN]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, one in enumerate(shown):
            steps = np.arange(1, len(one.cumulative) + 1)
            dash = _DASHES[place % len(_DASHES)]
            axes.plot(steps, one.cumulative, color=one.colour, ls=dash, lw=1.6, label=shorten(one.name))
            axes.plot(steps[-1:], one.cumulative[-1:], "o", color=one.colour, ms=4)
            end = (float(steps[-1]), float(one.cumulative[-1]))
            axes.annotate(f"{end[1]:.0%}", end, (6, -3), textcoords="offset points", color=INK, annotation_clip=False)
        axes.set_ylim(0, 1.03)
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel("components")
        axes.set_ylabel("variance kept")
        axes.tick_params(labelcolor=MUTED)
        bare(axes, "y")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.6)

    left = f" {len(known) - len(shown)} more are not drawn." if len(known) > len(shown) else ""
    told = "; ".join(f"{one.name} keeps {one.cumulative[-1]:.1%} with {len(one.cumulative)}" for one in shown)
    words = Words(
        "Variance kept by each reduction",
        f"Share of the variance of the train rows that the first components keep together: {told}.{left}",
        f"Curves of variance kept by number of components: {told}.",
    )
    return draw("plot-variance", words, (WIDTH, 3.2 + 0.2 * -(-len(shown) // 2)), paint)


def _read(cards: Sequence[Path], folder: Path, lineage: Lineage) -> Iterator[Kept]:
    for card in cards:
        rows = read_table(
            folder / f"{card.stem}.variance.csv", (), ("component", "variance", "cumulative"), verb="reduce"
        )
        values = np.array([row.numbers["cumulative"] for row in rows]) if rows else _of_card(card)
        if ((values < 0) | (values > 1.001)).any() or (np.diff(values) < -1e-6).any():
            raise InputError(
                f"expected shares that add up to at most 1 for the reduction {card.stem!r}, found others; "
                f"run `diptych reduce {card.stem}` again"
            )
        yield Kept(card.stem, _COLOURS.get(lineage.modalities((card.stem,)), MUTED), values)


def _of_card(card: Path) -> NDArray[np.float64]:
    explained = read_json(card).get("explained") or []
    try:
        return np.cumsum(np.array(explained, np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected numbers as 'explained' in {card}, found others; run `diptych reduce {card.stem}` again"
        ) from error
