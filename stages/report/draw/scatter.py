"""Writes scatter panels of thousands of points as small inline SVG: one marker a class, the points as bare coordinates.

matplotlib spends a hundred bytes on each point; here it is eight, so that a page can hold many panels.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

SIDE = 1000  # units of a panel; coordinates are whole numbers of them
_EDGE = 40
_MANY = 400  # from so many points on they are drawn smaller
_COLOURS = 10  # --class-0 to --class-9 of sections.css
# Drawn around (0, 0) within -10 to 10; no two look alike when all are of one colour.
_SHAPES = (
    ("circle", "M-8 0A8 8 0 1 0 8 0 8 8 0 1 0-8 0Z"),
    ("triangle", "M0-10 10 8-10 8Z"),
    ("square", "M-7-7H7V7H-7Z"),
    ("cross", "M-9-5-5-9 0-4 5-9 9-5 4 0 9 5 5 9 0 4-5 9-9 5-4 0Z"),
    ("diamond", "M0-11 9 0 0 11-9 0Z"),
    ("triangle down", "M0 10 10-8-10-8Z"),
    ("plus", "M-3-10H3V-3H10V3H3V10H-3V3H-10V-3H-3Z"),
    ("star", "M0-11 3-3 11-3 5 2 7 10 0 5-7 10-5 2-11-3-3-3Z"),
    ("triangle left", "M-10 0 8-10 8 10Z"),
    ("bar", "M-11-4H11V4H-11Z"),
)


@dataclass(frozen=True)
class Look:
    """The marker of one class.

    Attributes
    ----------
    place : int
        Which class it is.
    """

    place: int

    @property
    def shape(self) -> str:
        """What the shape is called."""
        return self._shape[0]

    @property
    def outline(self) -> str:
        """Its path."""
        return self._shape[1]

    @property
    def colour(self) -> str:
        """Its colour as CSS."""
        return f"var(--class-{self.place % _COLOURS})"

    @property
    def key(self) -> Markup:
        """A small drawing for the legend."""
        return Markup(  # noqa: S704 (our own words)
            f'<svg class="key" role="img" aria-label="{self.shape}" viewBox="-12 -12 24 24" width="16" height="16">'
            f'<path d="{self.outline}" style="fill:{self.colour}"/></svg>'
        )

    @property
    def _shape(self) -> tuple[str, str]:
        # Shifted by one from the second ten on, since their colours come again.
        return _SHAPES[(self.place + self.place // _COLOURS) % len(_SHAPES)]


@dataclass(frozen=True)
class Cloud:
    """Points of a plane.

    Attributes
    ----------
    places : float64 [n, 2]
    classes : int64 [n]
        Which `Look` each has.
    ringed : bool [n]
        Which are highlighted.
    numbered : mapping of int to str
        From a point to what is written at it.
    """

    places: NDArray[np.float64]
    classes: NDArray[np.int64]
    ringed: NDArray[np.bool_]
    numbered: Mapping[int, str]


def scatter(name: str, cloud: Cloud, alt: str) -> Markup:
    """Draw a square panel; the same bytes for the same cloud.

    Parameters
    ----------
    name : str
        Unique on the page and fit for an id: it names the markers.
    cloud : Cloud
        At least one point.
    alt : str
        What is read to those who cannot see it.
    """
    at = _scaled(cloud.places)
    size = 34 if len(at) < _MANY else 22
    parts = [*_classes(name, at, cloud.classes, size), *_rings(name, at[cloud.ringed], size), *_numbers(at, cloud)]
    return Markup(  # noqa: S704 (the words are escaped, all else is our own)
        f'<svg class="scatter" role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {SIDE} {SIDE}" width="320" '
        f'height="320">{"".join(parts)}</svg>'
    )


def _scaled(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Fit the points into the panel, both directions by one factor: t-SNE knows no axes, but it knows near and far."""
    low, high = places.min(axis=0), places.max(axis=0)
    factor = (SIDE - 2 * _EDGE) / max(float((high - low).max()), 1e-12)
    middle = (places - (low + high) / 2) * factor * [1, -1]
    return np.asarray(np.rint(middle + SIDE / 2), np.int64)


def _classes(name: str, at: NDArray[np.int64], classes: NDArray[np.int64], size: int) -> Iterator[str]:
    for place in np.unique(classes).tolist():
        look, marker = Look(place), f"{name}-{place}"
        yield _marker(marker, f'<path d="{look.outline}" style="fill:{look.colour};fill-opacity:.8"/>', size)
        yield _points(marker, at[classes == place])


def _rings(name: str, at: NDArray[np.int64], size: int) -> Iterator[str]:
    if len(at):
        ring = '<circle r="9.5" style="fill:none;stroke:var(--ink);stroke-width:2.4"/>'
        yield _marker(f"{name}-ring", ring, 2 * size)
        yield _points(f"{name}-ring", at)


def _marker(name: str, drawing: str, size: int) -> str:
    return (
        f'<marker id="{name}" viewBox="-12 -12 24 24" markerUnits="userSpaceOnUse" markerWidth="{size}" '
        f'markerHeight="{size}">{drawing}</marker>'
    )


def _points(marker: str, at: NDArray[np.int64]) -> str:
    """Write a line that nobody sees, with a marker at each of its corners."""
    line = " ".join(f"{x} {y}" for x, y in at.tolist())
    return f'<path d="M{line}" style="fill:none;stroke:none;marker:url(#{marker})"/>'


def _numbers(at: NDArray[np.int64], cloud: Cloud) -> Iterator[str]:
    for point, text in cloud.numbered.items():
        x, y = at[point].tolist()
        yield f'<text x="{x}" y="{y}">{html.escape(text)}</text>'


def legend(labels: Sequence[str]) -> list[tuple[Look, str]]:
    """Give each class its marker."""
    return [(Look(place), label) for place, label in enumerate(labels)]
