"""The heat map of what the best experiment takes for what: counts `confusion.csv` and draws it through `svg`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stages.report.draw.svg import BEST, CARD, INK, MUTED, WIDTH, Plot, Words, draw
from stages.report.words import shorten

SHOWN = 20
NOTHING = "(nothing)"
_DENSE = 0.55  # from this share on a cell is so dense that the colour of the paper reads better on it than ink
Pairs = Counter[tuple[str, str]]


def count_pairs(rows: Sequence[dict[str, str]]) -> Pairs:
    """Count the rows (actual, predicted)."""
    return Counter((row["actual"], row["predicted"]) for row in rows)


def most_confused(pairs: Pairs, limit: int = SHOWN) -> list[str]:
    """Choose the classes that are taken for others, or others for them, most often; all when they are few.

    Returns
    -------
    list of str
        In alphabetical order, `(nothing)` left out.
    """
    mistakes: Counter[str] = Counter()
    for (actual, predicted), count in pairs.items():
        for label in {actual, predicted} - {NOTHING}:
            mistakes[label] += count if actual != predicted and NOTHING not in (actual, predicted) else 0
    chosen = sorted(mistakes, key=lambda label: (-mistakes[label], label))[:limit]
    return sorted(chosen)


def confusion_plot(name: str, pairs: Pairs, *, several: bool) -> Plot | None:
    """Draw the heat map.

    Parameters
    ----------
    name : str
        The experiment.
    pairs : Counter of (actual, predicted)
        What `evaluate` wrote, counted.
    several : bool
        Whether an item may bear several classes, which changes what a cell means.
    """
    labels = most_confused(pairs)
    if not labels:
        return None
    columns = [*labels, NOTHING] if any(predicted == NOTHING for _, predicted in pairs) else labels
    rows = [*labels, NOTHING] if any(actual == NOTHING for actual, _ in pairs) else labels

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        _paint_cells(axes, pairs, rows, columns)
        axes.set_xticks(range(len(columns)), [shorten(label, 20) for label in columns], rotation=55, ha="right")
        axes.set_yticks(range(len(rows)), [shorten(label, 20) for label in rows])
        axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("predicted", color=MUTED)
        axes.set_ylabel("actual", color=MUTED)
        for spine in axes.spines.values():
            spine.set_visible(False)

    words = Words("What is taken for what", _caption(name, pairs, len(labels), several), _alt(name, pairs, labels))
    size = (max(WIDTH, 1.7 + 0.27 * len(columns)), 1.6 + 0.27 * max(len(rows), 6))
    return draw("plot-confusion", words, size, paint)


def _paint_cells(axes: Axes, pairs: Pairs, rows: Sequence[str], columns: Sequence[str]) -> None:
    for y, actual in enumerate(rows):
        total = sum(count for (one, _), count in pairs.items() if one == actual)
        for x, predicted in enumerate(columns):
            if count := pairs[actual, predicted]:
                share = count / total
                # One hue that grows denser: it reads on white and on black, and when printed without colour.
                cell = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, color=BEST, alpha=0.08 + 0.77 * share, lw=0)
                axes.add_patch(cell)
                ink = CARD if share > _DENSE else INK
                axes.text(x, y, str(count), ha="center", va="center", fontsize=7.5, color=ink)


def _caption(name: str, pairs: Pairs, shown: int, several: bool) -> str:
    classes = len({label for pair in pairs for label in pair} - {NOTHING})
    chosen = f"The {shown} most confused of {classes} classes. " if shown < classes else ""
    meaning = (
        "The diagonal counts hits; elsewhere a missed class meets each class wrongly predicted for the same item, and "
        "(nothing) where there is none. "
        if several
        else ""
    )
    return f"{name}, first seed. {chosen}{meaning}Numbers are counts; the denser, the larger the share of its row."


def _alt(name: str, pairs: Pairs, labels: Sequence[str]) -> str:
    wrong = sorted(
        ((count, actual, predicted) for (actual, predicted), count in pairs.items() if actual != predicted),
        key=lambda entry: (-entry[0], entry[1], entry[2]),
    )
    inside = [entry for entry in wrong if entry[1] in labels and entry[2] in labels][:5]
    listed = "; ".join(f"{actual} taken for {predicted} {count} times" for count, actual, predicted in inside)
    return f"Heat map of the confusions of {name}. {'Most frequent: ' + listed if listed else 'No class is confused'}."
