"""Extends the figures of `benchmarks.scale` on paper: each is a formula, evaluated here and shown on the page as it is.

Numbers of the code are taken from the code, measured ones from the run, and all others are assumptions that the page
lists as such.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sympy import sympify

from benchmarks.scale_data import WIDTHS
from benchmarks.scale_steps import GRAPH_ROW_BYTES
from stages.embed import compute
from stages.embed.request import REST
from stages.embed.settings import EmbedSettings
from store.care.compaction import TARGET_ROWS
from store.features.index import BYTES_PER_ROW
from store.items.keys import KEY_BYTES
from store.segments.formats import ROW_DIGEST_BYTES
from store.segments.segment import rows_per_segment

Result = Mapping[str, Any]
TARGETS = {"1M": 10**6, "16M, WebVision 2.0": 16 * 10**6, "1B": 10**9}
_ITEMSIZE = 2


class Number(NamedTuple):
    """One number that formulas use: its name, value and unit, and where it is from."""

    name: str
    value: float
    unit: str
    origin: str


class Line(NamedTuple):
    """One figure: its name, what it is, its formula, and its unit."""

    name: str
    about: str
    formula: str
    unit: str


def of_the_code() -> list[Number]:
    """Return the numbers that the code fixes."""
    narrow, wide = WIDTHS.values()
    settings = EmbedSettings.__dataclass_fields__
    fits = (rows_per_segment(dim, _ITEMSIZE) for dim in (narrow, wide))
    half = [min(TARGET_ROWS, fit) // 2 for fit in fits]
    return [
        Number("narrow", narrow, "numbers", "the first encoder"),
        Number("wide", wide, "numbers", "the second encoder"),
        Number("number", _ITEMSIZE, "bytes", "float16"),
        Number(
            "key",
            KEY_BYTES + ROW_DIGEST_BYTES,
            "bytes",
            "of a row beside its vector: `store.items.keys`, `store.segments.formats`",
        ),
        Number("index_row", BYTES_PER_ROW, "bytes", "`store.features.index`"),
        Number("commit", settings["commit_bytes"].default, "bytes", "`stages.embed.settings`: publish at the latest"),
        Number("pause", settings["commit_seconds"].default, "s", "`stages.embed.settings`: or after so long"),
        Number(
            "half_narrow", half[0], "rows", "`store.care.compaction`: smaller segments are merged, up to twice that"
        ),
        Number("half_wide", half[1], "rows", "the same of the second encoder"),
        Number("rest", REST, "times", "`stages.embed.request`: so long as a listing took, none follows"),
    ]


ASSUMED = [
    Number("evaluated", 0.28, "of the rows", "dev and test with the default split"),
    Number("page", 1000, "names", "in one answer to LIST"),
    Number("list_seconds", 0.1, "s", "one LIST"),
    Number("storage_price", 0.023, "$ for a GB and month", "standard storage, list price"),
    Number("put_price", 0.005 / 1000, "$", "one PUT or LIST, list price"),
    Number("get_price", 0.0004 / 1000, "$", "one GET, list price"),
    Number("egress_price", 0.09, "$ for a GB", "out of the region, list price"),
    Number("gpu_price", 2.5, "$ for an hour", "one data-centre GPU, rented"),
    Number("rate_resnet", 2500, "rows/s", "ResNet-50, 224 pixels, half precision, decoding keeps up"),
    Number("rate_bert", 3000, "rows/s", "BERT base, captions of some 20 tokens, half precision"),
    Number("rate_large", 400, "rows/s", "a vision transformer of the size L, 224 pixels, half precision"),
    Number("machine", 128e9, "bytes", "memory of a large machine"),
]
"""Round numbers of public price lists and of one GPU; put your own in their place."""

# Only segments of less than half of what fits are merged.
_KEPT = "Piecewise((rows_{0}, rows_{0} > half_{0}), (2 * half_{0}, True))"
# Pages of a listing before each commit, half of the last ones on the average; or as many as the rests between long ones
# leave time for.
_LISTS = "ceiling(Min(commits_{0} * (1 + commits_{0} / (2 * page)), rows / rate_{1} / ((1 + rest) * list_seconds)))"

LINES = [
    Line("vectors", "vectors of both encoders", "rows * (narrow + wide) * number", "bytes"),
    Line("store", "the store", "vectors + 2 * rows * key", "bytes"),
    Line("index", "the local index of the keys", "2 * rows * index_row", "bytes"),
    Line("matrices", "the matrices, DVC's outputs", "vectors", "bytes"),
    Line("manifest", "the manifest", "rows * manifest_row", "bytes"),
    Line("predictions", "predictions of one experiment and seed", "rows * evaluated * prediction_row", "bytes"),
    Line(
        "rows_narrow", "rows of a commit, narrow", "floor(Min(commit / (narrow * number), rate_bert * pause))", "count"
    ),
    Line("rows_wide", "rows of a commit, wide", "floor(Min(commit / (wide * number), rate_resnet * pause))", "count"),
    Line("commits_narrow", "segments as committed, narrow", "ceiling(rows / rows_narrow)", "count"),
    Line("commits_wide", "segments as committed, wide", "ceiling(rows / rows_wide)", "count"),
    Line("segments", "objects as committed", "commits_narrow + commits_wide", "count"),
    Line("kept_narrow", "rows of a segment after `store compact`, narrow", _KEPT.format("narrow"), "count"),
    Line("kept_wide", "rows of a segment after `store compact`, wide", _KEPT.format("wide"), "count"),
    Line("merged", "objects after it", "ceiling(rows / kept_narrow) + ceiling(rows / kept_wide)", "count"),
    Line("puts", "PUT of the segments", "segments", "count"),
    Line("lists_narrow", "LIST while the narrow one is embedded", _LISTS.format("narrow", "bert"), "count"),
    Line("lists_wide", "LIST while the wide one is embedded", _LISTS.format("wide", "resnet"), "count"),
    Line("lists", "LIST: pages of all names before commits", "lists_narrow + lists_wide", "count"),
    Line("gets", "GET, one export of both matrices", "segments", "count"),
    Line("cold", "read by a first lookup on a new machine", "2 * rows * key", "bytes"),
    Line("month", "storage of the store for a month", "store / 1e9 * storage_price", "$"),
    Line("asked", "the requests", "(puts + lists) * put_price + gets * get_price", "$"),
    Line("fetched", "fetching the store once out of its region", "store / 1e9 * egress_price", "$"),
    Line("bert", "GPU hours, BERT base", "rows / rate_bert / 3600", "hours"),
    Line("resnet", "GPU hours, ResNet-50", "rows / rate_resnet / 3600", "hours"),
    Line("large", "GPU hours, the large encoder in ResNet's place", "rows / rate_large / 3600", "hours"),
    Line("bill", "money for BERT base and ResNet-50", "(bert + resnet) * gpu_price", "$"),
    Line("bill_large", "money for BERT base and the large one", "(bert + large) * gpu_price", "$"),
    Line("listing_hours", "hours of waiting for LIST", "lists * list_seconds / 3600", "hours"),
    Line("knn_hours", "hours of a processor for 2,000 queries, exact", "rows * search_second / 3600", "hours"),
    Line("graph", "memory of the graph of `index: hnsw`, narrow", "rows * graph_row", "bytes"),
]
"""In an order in which each uses only those before it."""


def measured(result: Result) -> list[Number]:
    """Return the numbers that the run measured: what one more row costs, between the two largest sizes."""
    last = result["files"][-1]
    told = "measured at the largest size"
    return [
        Number("manifest_row", last["manifest_bytes"] / last["rows"], "bytes", told),
        Number("prediction_row", last["prediction_bytes"] / last["predicted_rows"], "bytes", told),
        Number("search_second", cost_of_a_row(result, "search", "cpu_seconds")[1], "s", "one more row in `search`"),
        Number("graph_row", GRAPH_ROW_BYTES, "bytes", "a vector in float32 and 64 links of 4 bytes"),
    ]


def cost_of_a_row(result: Result, step: str, measure: str) -> tuple[float, float]:
    """Draw a line through the two largest sizes of a step: what it takes with no rows, and for each; never negative.

    Below a portion of `embed` buffers of a fixed size are still filling, and would be taken for growth: without two
    sizes of at least that, both are NaN.
    """
    done = [each for each in result["steps"] if each["step"] == step and "left_out" not in each]
    rows = [each for each in done if each["rows"] >= compute._SLICE][-2:]
    if len(rows) < 2:
        return math.nan, math.nan
    first, last = rows
    slope = max(0.0, (last[measure] - first[measure]) / (last["rows"] - first["rows"]))
    return max(0.0, last[measure] - slope * last["rows"]), slope


def extended(result: Result) -> dict[str, dict[str, float]]:
    """Evaluate every line at every target: {target: {name: value}}."""
    fixed = {each.name: each.value for each in (*of_the_code(), *ASSUMED, *measured(result))}
    found = {}
    for target, rows in TARGETS.items():
        names: dict[str, Any] = {**fixed, "rows": rows}
        for line in LINES:
            names[line.name] = evaluate(line.formula, names)
        found[target] = {line.name: names[line.name] for line in LINES}
    return found


def evaluate(formula: str, names: Mapping[str, float]) -> float:
    """Give the value of a formula, in which sympy's functions are known; infinite where it has none."""
    value = sympify(formula, locals={name: sympify(each) for name, each in names.items()})
    return float(value) if value.is_finite else math.inf


class Break(NamedTuple):
    """Where something ends: from how many rows on, and how that is found."""

    rows: float
    what: str
    formula: str


def breaks(result: Result) -> list[Break]:
    """Return what breaks, the first first."""
    names = {each.name: each.value for each in (*of_the_code(), *ASSUMED, *measured(result))}
    names |= {
        line.name: evaluate(line.formula, {**names, "rows": 10**9}) for line in LINES if line.name.startswith("rows_")
    }
    names["bound"] = result["bound_bytes"]
    found = [*_memory(result, names), *(Break(evaluate(formula, names), what, formula) for what, formula in _LIMITS)]
    return sorted((each for each in found if math.isfinite(each.rows)), key=lambda each: each.rows)


_LIMITS: Sequence[tuple[str, str]] = [
    ("the graph of `hnsw` (narrow) passes the bound of a process", "bound / graph_row"),
    ("the graph of `hnsw` (narrow) passes a large machine", "machine / graph_row"),
    ("the names of the wide segments take a minute to list", "60 / list_seconds * page * rows_wide"),
    ("2,000 exact queries take a processor a day", "86400 / search_second"),
    ("one listing of the wide segments takes more than one page", "page * rows_wide"),
]


def _memory(result: Result, names: Mapping[str, float]) -> list[Break]:
    found = []
    for step in dict.fromkeys(each["step"] for each in result["steps"]):
        start, slope = cost_of_a_row(result, step, "private_bytes")
        if math.isnan(slope) or slope * 10**9 < names["bound"]:
            continue
        for limit, told in (("bound", "the bound of a process"), ("machine", "a large machine")):
            formula = f"({limit} - {start:.4g}) / {slope:.4g}"
            found.append(Break(evaluate(formula, names), f"`{step}` passes {told} in memory (measured)", formula))
    return found
