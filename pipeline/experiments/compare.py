"""`diptych compare A B`: two sets of features on the same rows, how alike, which scores better, what each costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.experiments.paired import Change, changes
from pipeline.journal.console import PlainTable, out
from pipeline.params.sections import Params
from pipeline.wiring import features_of, stated_digests
from stages.contract import Progress
from stages.models.catalog import did_you_mean
from stages.models.features.opening import open_aligned
from stages.models.measures.similarity import linear_cka, neighbour_overlap
from stages.retrieve.features import FeatureRows, scaled_blocks
from store import Matrix
from store.errors import InputError
from store.files.outputs import read_small_json
from store.items.manifest import Manifest

_UNKNOWN = "not measured here"


@dataclass(frozen=True)
class Side:
    """One set of features and what it costs.

    Attributes
    ----------
    name, made_by : str
        The entry, and its section with what it does there.
    rows : int
        Items that have a vector.
    dim, dtype : int, str
        Of one vector.
    row_bytes : int
        What one row takes in the matrix, with the arrays beside its vector.
    seconds_per_1000 : float or None
        Of the last run of `embed` on this machine that computed any, without the loading of the encoder; None when
        there was none with the encoder that the entry names now.
    """

    name: str
    made_by: str
    rows: int
    dim: int
    dtype: str
    row_bytes: int
    seconds_per_1000: float | None


@dataclass(frozen=True)
class Comparison:
    """Two sets of features on the rows that both have.

    Attributes
    ----------
    items, rows : int
        Of the manifest, and those of them that both have.
    cka, cka_debiased : float, float or None
        See `stages.models.measures.similarity.Cka`.
    queries, seed : int
        How many items were asked for their neighbours, and what chose them.
    overlap, chance : mapping of int to float
        For each k the share of neighbours that both agree on, and what chance gives.
    changes : list of Change
        The experiments and retrievals that are the same but for these features.
    """

    first: Side
    second: Side
    items: int
    rows: int
    cka: float
    cka_debiased: float | None
    queries: int
    seed: int
    overlap: dict[int, float]
    chance: dict[int, float]
    changes: list[Change]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Question:
    """What is asked: the numbers of neighbours, and how many items at most are asked for theirs, drawn by the seed."""

    ks: Sequence[int]
    queries: int
    seed: int


def compare(first: str, second: str, question: Question, params: Params, progress: Progress) -> Comparison:
    """Compare two entries of embed, reduce or fuse.

    Raises
    ------
    InputError
        When there are no such entries, they are one, a matrix is not there or is of another manifest, both have too
        few rows in common, or one has the same vector in all of them.
    CorruptMatrix
        When a matrix is damaged or not the one of its card.
    """
    _check_names(first, second, params)
    names = [first, second]
    manifest = Manifest.open(paths.MANIFEST)
    matrices = open_aligned(params.matrices.features(names), manifest.ids(), stated_digests(params.matrices, names))
    common = np.flatnonzero(matrices[0].usable & matrices[1].usable)
    _check_rows(len(common), question, names)
    cka = linear_cka(*(_rows(matrix, common, unit=False) for matrix in matrices))
    rng = np.random.default_rng(question.seed)
    asked = np.sort(rng.choice(len(common), min(question.queries, len(common)), replace=False))
    with progress.track("compare", len(asked)) as tracker:
        near = [_rows(matrix, common, unit=True) for matrix in matrices]
        overlap = neighbour_overlap(near[0], near[1], asked, question.ks, tracker)
    return Comparison(
        _side(first, matrices[0], params),
        _side(second, matrices[1], params),
        items=len(manifest),
        rows=len(common),
        cka=round(cka.value, 6),
        cka_debiased=None if cka.debiased is None else round(cka.debiased, 6),
        queries=len(asked),
        seed=question.seed,
        overlap={k: round(share, 6) for k, share in overlap.items()},
        chance={k: round(k / (len(common) - 1), 6) for k in overlap},
        changes=changes(params, first, second),
    )


def _check_names(first: str, second: str, params: Params) -> None:
    known = params.matrices.producer_of
    for name in (first, second):
        if name not in known:
            raise InputError(
                f"compare: expected an entry of embed, reduce or fuse; found {name!r}{did_you_mean(name, known)}; "
                f"there are {[*known]}."
            )
    if first == second:
        raise InputError(f"compare: expected two entries; found {first!r} twice; name another of {[*known]}.")


def _check_rows(count: int, question: Question, names: list[str]) -> None:
    needed = max(4, max(question.ks) + 1)
    if count < needed:
        raise InputError(
            f"compare: expected at least {needed} rows that both {names[0]} and {names[1]} have; found {count}; "
            "lower --k or compare features of the same items."
        )


def _rows(matrix: Matrix, common: np.ndarray, *, unit: bool) -> FeatureRows:
    """Read rows as they are, or at length one as `retrieve` measures distances unless it is told otherwise."""
    return FeatureRows(scaled_blocks([matrix], "l2" if unit else "none", common), common)


def _side(name: str, matrix: Matrix, params: Params) -> Side:
    beside = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in matrix.arrays.values())
    row_bytes = matrix.dim * np.dtype(matrix.dtype).itemsize + beside
    rows = int(np.count_nonzero(matrix.usable))
    return Side(name, _made_by(name, params), rows, matrix.dim, matrix.dtype, row_bytes, _seconds(name, params))


def _made_by(name: str, params: Params) -> str:
    verb = params.matrices.producer_of[name]
    if verb == "embed":
        return f"embed: {params.embed[name].encoder} of {params.embed[name].field}"
    entry = params.reduce[name] if verb == "reduce" else params.fuse[name]
    method = params.reduce[name].method if verb == "reduce" else params.fuse[name].fusion
    return f"{verb}: {method} of {', '.join(features_of(entry))}"


def _seconds(name: str, params: Params) -> float | None:
    """Read how long the encoder took here, of a run with the encoder that the entry names now."""
    if name not in params.embed:
        return None
    run, entry = read_small_json(paths.RUNS / f"embed-{name}.json"), params.embed[name]
    known = [run.get("encoder"), run.get("model")] == [entry.encoder, entry.model]
    return round(1000 / float(run["rate"]), 4) if known and run.get("rate") else None


def print_comparison(found: Comparison) -> None:
    """Print the comparison for a person."""
    first, second = found.first, found.second
    out.print(f"{found.rows} of {found.items} items have a vector in both", markup=False)
    free = "none: all rows are equally far apart" if found.cka_debiased is None else f"{found.cka_debiased:.3f}"
    out.print(f"linear CKA {found.cka:.3f} (debiased {free}); 1: alike up to a rotation and a factor", markup=False)
    table = PlainTable("k nearest", numbers=("shared", "by chance"))
    for k, share in found.overlap.items():
        table.add_row(str(k), f"{share:.1%}", f"{found.chance[k]:.2%}")
    out.print(table)
    out.print(f"neighbours of {found.queries} items, seed {found.seed}, among all {found.rows}", markup=False)
    _print_cost(first, second)
    _print_changes(found)


def _print_cost(*sides: Side) -> None:
    table = PlainTable("features", "made by", numbers=("rows", "dim", "dtype", "bytes a row", "s per 1000 rows"))
    for side in sides:
        spent = _UNKNOWN if side.seconds_per_1000 is None else f"{side.seconds_per_1000:.3g}"
        size = (str(side.rows), str(side.dim), side.dtype, str(side.row_bytes), spent)
        table.add_row(side.name, side.made_by, *size)
    out.print(table)


def _print_changes(found: Comparison) -> None:
    first, second = found.first.name, found.second.name
    if not found.changes:
        out.print(f"no two entries of train or retrieve are the same but for {first} and {second}", markup=False)
        return
    table = PlainTable("stage", "entries", "metric", numbers=(first, second, "difference", "95 % interval", "p"))
    for each in found.changes:
        values = (each.first_value, each.second_value, each.difference)
        said = ["-" if value is None else f"{value:.3f}" for value in values[:2]]
        apart = "-" if each.difference is None else f"{each.difference:+.3f}"
        inside = "-" if each.low is None or each.high is None else f"{each.low:+.3f} to {each.high:+.3f}"
        p = "-" if each.p is None else f"{each.p:.3g}"
        table.add_row(each.verb, f"{each.first} | {each.second}", each.metric, *said, apart, inside, p)
    out.print(table)
    for each in found.changes:
        if each.note:
            out.print(f"{each.first} | {each.second}: {each.note}", markup=False)
