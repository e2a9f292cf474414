"""Writes what `benchmarks.scale` measured: the blocks between the markers of `docs/scale.md`, and its plot."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale_paper import ASSUMED, LINES, Number, breaks, extended, measured, of_the_code
from benchmarks.scale_steps import SIZES

# Seen on white and on near black alike.
_INK = "#808080"
_COLOURS = (
    "#3b82c4",
    "#d9772b",
    "#3f9d4f",
    "#c94a4a",
    "#8f6bc1",
    "#a0705a",
    "#c95fa8",
    "#8a8a2e",
    "#2aa0ae",
    "#7a8aa0",
)
_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
_SAID = {
    "split": "Groups are sorted by a hash of their names: rows times the logarithm of the rows, and caches hold less.",
    "search": "The product of queries and rows is linear; more of it is done where the caches no longer hold a tile.",
    "search_hnsw": "An insertion walks a graph that grows: rows times the logarithm of the rows, and caches hold less.",
    "gather": "The same number of rows of a larger file: more pages are touched for the first time.",
    "lookup": "The keys are sorted: rows times the logarithm of the rows.",
}


def write_page(path: Path, result: dict[str, Any]) -> None:
    """Write every block anew: the lines between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises
    ------
    ValueError
        When the page lacks a block.
    """
    page = path.read_text("utf-8")
    for name, lines in _blocks(result).items():
        block = "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name} -->"])
        page, count = re.subn(rf"<!-- {name} -->\n.*?<!-- /{name} -->", lambda _, block=block: block, page, flags=re.S)
        if count != 1:
            raise ValueError(f"expected one block {name!r} in {path}, found {count}; put its two markers back")
    path.write_text(page, "utf-8")


def _blocks(result: dict[str, Any]) -> dict[str, list[str]]:
    return {
        "machine": [_machine(result)],
        "measured": _measured(result),
        "files": _files(result),
        "growth": [*_growth(result), "", *_steep(result)],
        "bound": [_bound(result)],
        "numbers": _numbers([*of_the_code(), *measured(result)]),
        "assumptions": _numbers(ASSUMED),
        "paper": _paper(result),
        "breaks": _table(
            ("from so many rows", "what", "formula"),
            ((_count(each.rows), each.what, f"`{each.formula}`") for each in breaks(result)),
        ),
    }


def _machine(result: dict[str, Any]) -> str:
    about = result["machine"]
    sizes = sorted({each["rows"] for each in result["files"]})
    whole = tuple(sizes) == SIZES
    part = (
        ""
        if whole
        else (
            f" **Provisional**: measured at {', '.join(f'{size:,}' for size in sizes)} rows only; where "
            "more rows are needed it says `not measured`; run it whole."
        )
    )
    shared = about["load_before"] >= 0.5 or about["niceness"] > 0
    told = f"{about['cores']} cores ({about['processor']}), {_bytes(about['memory_bytes'])} of memory, "
    told += f"Python {about['python']}, threads of the libraries: {about['threads']}. "
    if not shared:
        return f"{told}Nothing else ran.{part}"
    return (
        f"{told}**The machine was shared**: its load was {about['load_before']} before the run, whose niceness was "
        f"{about['niceness']}. Read the time of the processors; the clock tells mostly of the others.{part}"
    )


def _measured(result: dict[str, Any]) -> list[str]:
    rows = []
    for each in result["steps"]:
        start = (f"`{each['step']}`", f"{each['rows']:,}")
        if "left_out" in each:
            rows.append((*start, f"left out: {each['left_out']}", "", "", ""))
        else:
            times = (_seconds(each["seconds"]), _seconds(each["cpu_seconds"]))
            rows.append((*start, *times, _bytes(each["private_bytes"]), _bytes(each["peak_bytes"])))
    return _table(("step", "rows", "clock", "processors", "private memory", "with mapped pages"), rows)


def _files(result: dict[str, Any]) -> list[str]:
    names = ("store_bytes", "index_bytes", "matrix_bytes", "manifest_bytes", "prediction_bytes")
    rows = [
        (f"{each['rows']:,}", *(_bytes(each[name]) for name in names), str(sum(each["segments"].values())))
        for each in result["files"]
    ]
    return _table(("rows", "store", "local index", "matrices", "manifest", "predictions", "segments"), rows)


def _growth(result: dict[str, Any]) -> list[str]:
    measures = ("cpu_seconds", "cpu_seconds_last", "seconds", "private_bytes")
    rows = [(f"`{each['step']}`", *(f"{each[name]:.2f}" for name in measures)) for each in result["growth"]]
    return _table(("step", "processors", "at the two largest sizes", "clock", "private memory"), rows)


def _steep(result: dict[str, Any]) -> list[str]:
    steep = [each["step"] for each in result["growth"] if each["steep"]]
    if not steep:
        return ["No step grows faster than rows to the power of 1.15."]
    unknown = "Not explained; at small sizes what is done once is a part of it."
    return [f"- `{step}` grows faster than rows to the power of 1.15. {_SAID.get(step, unknown)}" for step in steep]


def _bound(result: dict[str, Any]) -> str:
    bound = result["bound_bytes"]
    done = [each for each in result["steps"] if "left_out" not in each]
    most = max(done, key=lambda each: each["private_bytes"])
    over = [f"`{each['step']}` of {each['rows']:,} rows" for each in done if each["private_bytes"] > bound]
    told = f"The most private memory is {_bytes(most['private_bytes'])}, of `{most['step']}` at {most['rows']:,} rows; "
    return told + (
        f"over the bound of {_bytes(bound)}: {', '.join(over)}." if over else f"the bound is {_bytes(bound)}."
    )


def _numbers(numbers: Iterable[Number]) -> list[str]:
    rows = ((f"`{each.name}`", _number(each.value), each.unit, each.origin) for each in numbers)
    return _table(("name", "value", "unit", "of what"), rows)


def _paper(result: dict[str, Any]) -> list[str]:
    found = extended(result)
    rows = []
    for line in LINES:
        values = (_shown(found[target][line.name], line.unit) for target in found)
        formula = line.formula.replace("|", "\\|")
        rows.append((f"`{line.name}`", line.about, *values, f"`{formula}`"))
    return _table(("name", "what", *found, "formula"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _shown(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "not measured"
    if unit == "bytes":
        return _bytes(value)
    return f"${_count(value)}" if unit == "$" else f"{_count(value)}{' h' if unit == 'hours' else ''}"


def _bytes(value: float) -> str:
    size, unit = next((each for each in _UNITS if value >= each[0]), _UNITS[-1])
    return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 999.5 else f"{value:,.0f} s"


def _number(value: float) -> str:
    if math.isnan(value):
        return "not measured"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _count(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def write_plot(path: Path, result: dict[str, Any]) -> None:
    """Draw processors' time and private memory of each step by rows, both axes logarithmic; equal data, equal bytes."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    style = {"svg.hashsalt": "scale", "svg.fonttype": "none", "font.size": 9, "text.color": _INK}
    style |= {"axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}
    with pyplot.rc_context(style):
        figure, panels = pyplot.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
        _draw(panels[0], result, "cpu_seconds", 1.0, "seconds of the processors")
        _draw(panels[1], result, "private_bytes", 1e9, "private memory, GB")
        panels[1].axhline(result["bound_bytes"] / 1e9, color=_INK, linestyle=":")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def _draw(panel: Any, result: dict[str, Any], measure: str, unit: float, label: str) -> None:
    done = [each for each in result["steps"] if "left_out" not in each]
    for number, step in enumerate(dict.fromkeys(each["step"] for each in done)):
        points = [(each["rows"], each[measure] / unit) for each in done if each["step"] == step]
        style = "o-" if number < len(_COLOURS) else "s--"
        panel.plot(*zip(*points, strict=True), style, color=_COLOURS[number % len(_COLOURS)], label=step, markersize=4)
    panel.set(xscale="log", yscale="log", xlabel="rows", ylabel=label)
    panel.grid(visible=True, color=_INK, alpha=0.25)
