"""Writes docs/benchmarks.md and its plot from ``results.json``; ``python -m benchmarks --book`` does just this."""

from __future__ import annotations

import json
import math
import re
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.goals import BOOK, GOALS
from benchmarks.timing import Row

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLOT = PAGE.with_suffix(".svg")
_MARK = "<!-- written by python -m benchmarks -->"
# Each is readable on white and on black.
_INK, _MET, _MISSED, _PLAIN = "#767b82", "#3d86c6", "#d07c2c", "#9197a0"
_LEFT, _WIDTH, _LINE, _TOP = 160, 400, 19, 52


def read_results() -> dict[str, Any]:
    """Return what was measured: `machine`, `seconds` of each part and `rows`."""
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def write_book() -> None:
    """Write the page, between its marks, and the plot."""
    results = read_results()
    PAGE.write_text(page(PAGE.read_text("utf-8"), results), "utf-8")
    PLOT.write_text(plot(_in_order(results["rows"])), "utf-8")


def page(text: str, results: dict[str, Any]) -> str:
    """Return the page with what stands between its marks written anew.

    Raises
    ------
    SystemExit
        When the page has not the two marks.
    """
    rows = _in_order(results["rows"])
    sections = [line for title, told in BOOK.items() for line in _section(title, told, rows)]
    written = "\n".join([_MARK, "", *_machine(results), "", *_verdict(rows), "", *sections, _MARK])
    new, count = re.subn(f"{_MARK}.*{_MARK}", lambda _: written, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"expected {_MARK!r} twice in {PAGE.name}, found it elsewise; put the two lines back")
    return new


def _in_order(rows: list[Row]) -> list[Row]:
    """Return the rows in the order of the book; one that the book does not know is a mistake of ours."""
    by_name = {row["name"]: row for row in rows}
    order = [name for told in BOOK.values() for name in told]
    if unknown := by_name.keys() - set(order):
        raise SystemExit(f"expected each row in benchmarks/goals.py, not found: {sorted(unknown)}; add a line there")
    return [by_name[name] for name in order if name in by_name]


def _machine(results: dict[str, Any]) -> list[str]:
    machine, seconds = results["machine"], results["seconds"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
    took = [f"It took {sum(seconds.values()) / 60:.1f} minutes: {parts}."] if seconds else []
    return [
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB "
        f"of memory, GPU: {machine['gpu']}; {machine['system']}, Python {machine['python']}.",
        *took,
        *([machine["note"]] if machine.get("note") else []),
        "",
        f"Versions: {versions}.",
    ]


def _verdict(rows: list[Row]) -> list[str]:
    judged = [row for row in rows if row["name"] in GOALS]
    missed = [f"`{row['name']}`" for row in judged if not GOALS[row["name"]].met(row)]
    said = f"missed: {', '.join(missed)}" if missed else "none is missed"
    return [
        f"{len(judged) - len(missed)} of {len(judged)} goals are met; {said}.",
        "",
        "![Each row as many times as good as its peer](benchmarks.svg)",
    ]


def _section(title: str, told: dict[str, str], rows: list[Row]) -> list[str]:
    found = [row for row in rows if row["name"] in told]
    lines = [f"## {title}", "", "| row | what | value | peer | its value | ratio | goal |"]
    lines.append("|---|---|--:|---|--:|--:|---|")
    for row in found:
        cells = [f"`{row['name']}`", told[row["name"]], f"{row['subject_value']:.4g} {row['unit']}", row["peer"]]
        cells += [f"{row['peer_value']:.4g} {row['unit']}", f"{row['ratio']:.3g}", _goal(row)]
        lines.append(f"| {' | '.join(cells)} |")
    notes = {row["note"]: [each["name"] for each in found if each["note"] == row["note"]] for row in found}
    lines += ["", *(f"- {', '.join(f'`{name}`' for name in names)}: {note}." for note, names in notes.items())]
    return [*lines, ""] if found else []


def _goal(row: Row) -> str:
    if row["name"] not in GOALS:
        return ""
    goal = GOALS[row["name"]]
    return f"{goal.told(row)}{'' if goal.met(row) else ', **missed**'}"


def _better(row: Row, ratio: float) -> float:
    """Turn a ratio so that more is better: of rates as it is, of seconds and sizes upside down."""
    return ratio if row["unit"].endswith("/s") else 1 / ratio


def plot(rows: list[Row]) -> str:
    """Draw how many times as good as its peer each row is, on a logarithmic scale, as SVG; a stroke is the goal.

    Written by hand: the bytes are the same with every version of every library, and a test compares them.
    """
    powers = [math.log10(_better(row, row["ratio"])) for row in rows]
    low, high = math.floor(min([0.0, *powers])), math.ceil(max([0.0, *powers]))
    scale = _WIDTH / max(1, high - low)
    bottom = _TOP + _LINE * len(rows)
    lines = [line for power in range(low, high + 1) for line in _ruled(_LEFT + (power - low) * scale, power, bottom)]
    for at, row in enumerate(rows):
        lines += _bar(row, _TOP + at * _LINE, -low * scale, scale)
    style = f"text{{font:12px sans-serif;fill:{_INK}}}.n{{font-size:10.5px}}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 60} {bottom + 8}" role="img">'
    title = "<title>How many times as good as its peer each row is; a stroke marks its goal</title>"
    return "\n".join([head, title, f"<style>{style}</style>", *_legend(), *lines, "</svg>", ""])


def _legend() -> list[str]:
    lines = []
    for at, (colour, said) in enumerate({_MET: "goal met", _MISSED: "goal missed", _PLAIN: "no goal"}.items()):
        lines.append(f'<rect x="{_LEFT + 110 * at}" y="6" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{_LEFT + 110 * at + 15}" y="15">{said}</text>')
    return lines


def _ruled(x: float, power: int, bottom: int) -> list[str]:
    return [
        f'<path d="M{x:.1f} {_TOP - 8}V{bottom}" stroke="{_INK}" stroke-opacity="{0.35 if power else 1}"/>',
        f'<text x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle" class="n">{10.0**power:g} x</text>',
    ]


def _bar(row: Row, y: int, zero: float, scale: float) -> list[str]:
    goal = GOALS.get(row["name"])
    colour = _PLAIN if goal is None else _MET if goal.met(row) else _MISSED
    better = _better(row, row["ratio"])
    end, start = _LEFT + zero + math.log10(better) * scale, _LEFT + zero
    right = max(start, end)
    lines = [
        f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(row["name"])}</text>',
        f'<rect x="{min(start, end):.1f}" y="{y + 2}" width="{abs(end - start):.1f}" height="10" fill="{colour}"/>',
    ]
    if goal is not None and goal.of == "ratio":
        x = start + math.log10(_better(row, goal.bound)) * scale
        lines.append(f'<path d="M{x:.1f} {y}V{y + 14}" stroke="{_INK}" stroke-width="2"/>')
        right = max(right, x)
    return [*lines, f'<text x="{right + 6:.1f}" y="{y + 11}" class="n">{better:.3g}</text>']
