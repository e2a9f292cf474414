"""The retrieval metrics of one ranking, and how it does at every list length: functions of arrays."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.models.measures.intervals import mean_estimates, named_ends
from store.errors import InputError
from store.files.outputs import write_lines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Graded:
    """How much labels agree, from 0 to 1, where items have several.

    Attributes
    ----------
    gains : float64 [Q, longest k]
        Of each found item with the query.
    mean : float64 [Q]
        Over all that the query could find.
    ideal : float64 [Q, longest k]
        The largest that it could find, in falling order; [Q, 0] where nobody asked for it.
    """

    gains: Floats
    mean: Floats
    ideal: Floats

    def only(self, queries: NDArray[np.bool_]) -> Graded:
        """Keep some queries."""
        return Graded(self.gains[queries], self.mean[queries], self.ideal[queries])

    def by_query(self, ks: Sequence[int]) -> dict[str, Floats]:
        """Return ``jaccard_K`` and, where the ideal is known, ``ndcg_K`` of each query."""
        values = {f"jaccard_{k}": self.gains[:, :k].mean(axis=1) for k in ks}
        if self.ideal.shape[1]:
            values |= {f"ndcg_{k}": self.gains[:, :k] @ _discounts(k) / self._best(k) for k in ks}
        return values

    def blind(self, ks: Sequence[int]) -> dict[str, Floats]:
        """Return what blind choices are expected to reach of both, for each query."""
        values = {"random_jaccard": self.mean}
        if self.ideal.shape[1]:
            values |= {f"random_ndcg_{k}": self.mean * _discounts(k).sum() / self._best(k) for k in ks}
        return values

    def _best(self, k: int) -> Floats:
        return self.ideal[:, :k] @ _discounts(k)


def _discounts(k: int) -> Floats:
    return 1.0 / np.log2(np.arange(2, k + 2))


@dataclass(frozen=True)
class Outcome:
    """What the metrics need to know of each query.

    Attributes
    ----------
    hits : bool [Q, longest k]
        Whether the item at each place of the ranking is relevant.
    relevant : int64 [Q]
        How many relevant items the gallery holds; 0 makes the query unanswerable.
    first : int64 [Q]
        The place of the first relevant item in the full ranking, from 1; 0 when unanswerable.
    candidates : int64 [Q]
        How many items the query could have found.
    graded : Graded, optional
        Where items have several labels.
    """

    hits: NDArray[np.bool_]
    relevant: Ints
    first: Ints
    candidates: Ints
    graded: Graded | None = None


def retrieval_metrics(outcome: Outcome, ks: Sequence[int]) -> dict[str, float]:
    """Score a ranking.

    Returns
    -------
    dict
        For each K ``top_K`` (share of queries with a relevant item among the first K), ``top_K_all`` (the same,
        unanswerable queries counting as misses), ``precision_K``, ``recall_K`` and ``random_top_K``, what K blind draws
        from the query's gallery are expected to reach; ``random_top_1`` also where 1 is none of the K, and
        ``random_recall_K``; ``mrr`` over the full ranking and ``random_mrr``. Where items have several labels
        ``jaccard_K``, the mean Jaccard index of the first K with the query, beside ``random_jaccard``; where relevance
        is graded ``ndcg_K`` beside ``random_ndcg_K``. Means leave unanswerable queries out.

    Raises
    ------
    InputError
        When no query has a relevant gallery item.

    Source: docs/systems/evaluation.md#retrieval-metrics.
    """
    answerable = outcome.relevant > 0
    total, answered = len(answerable), int(answerable.sum())
    if answered == 0:
        raise InputError(
            f"expected queries with a relevant gallery item, found none among {total}; "
            "choose relevance: any_label, another gallery or a split in which the labels meet"
        )
    values = {name: float(each.mean()) for name, each in _by_query(outcome, ks).items()}
    values |= {f"top_{k}_all": values[f"top_{k}"] * answered / total for k in sorted(ks)}
    relevant, candidates = outcome.relevant[answerable], outcome.candidates[answerable]
    for k in sorted({1, *ks}):
        values[f"random_top_{k}"] = float(_blind(relevant, candidates, k).mean())
    values |= {f"random_recall_{k}": float((k / candidates).mean()) for k in sorted(ks)}
    values["random_mrr"] = float(_blind_mrr(relevant, candidates).mean())
    if outcome.graded is not None:
        graded = outcome.graded.only(answerable)
        values |= {name: float(each.mean()) for name, each in graded.blind(sorted(ks)).items()}
    return values


def query_counts(outcome: Outcome) -> dict[str, int]:
    """Count the queries, and those that nothing in the gallery could answer."""
    return {"n_queries": len(outcome.relevant), "n_unanswerable": int((outcome.relevant == 0).sum())}


def metric_intervals(outcome: Outcome, ks: Sequence[int], groups: Ints) -> dict[str, float]:
    """Return ``<metric>_low`` and ``<metric>_high`` of all that are means over queries.

    They are the ends of the 95 % interval of ``top_K``, ``precision_K``, ``recall_K``, ``mrr``, ``jaccard_K`` and
    ``ndcg_K`` over other queries.

    Parameters
    ----------
    outcome : Outcome
        With an answerable query at least.
    ks : sequence of int
    groups : int64 [Q]
        The same number for queries of one group, which vary together.
    """
    values = _by_query(outcome, ks)
    found = mean_estimates(np.stack([*values.values()], axis=1), groups[outcome.relevant > 0])
    return named_ends({name: each.share() for name, each in zip(values, found, strict=True)})


def _by_query(outcome: Outcome, ks: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Return what each answerable query counts in the metrics that are means over them."""
    answerable = outcome.relevant > 0
    hits, relevant = outcome.hits[answerable], outcome.relevant[answerable]
    values: dict[str, NDArray[np.float64]] = {}
    for k in sorted(ks):
        found = hits[:, :k].sum(axis=1)
        values[f"top_{k}"] = (found > 0).astype(np.float64)
        values[f"precision_{k}"] = found / k
        values[f"recall_{k}"] = found / relevant
    values["mrr"] = 1.0 / outcome.first[answerable]
    if outcome.graded is not None:
        values |= outcome.graded.only(answerable).by_query(sorted(ks))
    return values


def _blind(relevant: Ints, candidates: Ints, k: int) -> NDArray[np.float64]:
    """Return the chance that k of G items drawn without replacement hold one of r: 1 - C(G - r, k) / C(G, k)."""
    draws = np.arange(k)[:, None]  # [k, 1] against [1, Q]
    left = np.maximum(candidates - relevant - draws, 0)
    return 1.0 - np.asarray((left / (candidates - draws)).prod(axis=0))


def _blind_mrr(relevant: Ints, candidates: Ints) -> Floats:
    """Return the mean of 1 / place of the first of r relevant ones among G items in any order, for each query."""
    pairs, place = np.unique(np.stack([relevant, candidates], axis=1), axis=0, return_inverse=True)
    found = np.empty(len(pairs))
    for at, (r, g) in enumerate(pairs.tolist()):
        places = np.arange(1, g - r + 2)
        missed = np.concatenate([[1.0], np.cumprod((g - r - places[:-1] + 1) / (g - places[:-1] + 1)), [0.0]])
        found[at] = (-np.diff(missed) / places).sum()
    return found[place.reshape(-1)]


def reached_shares(outcome: Outcome, ks: Sequence[int]) -> dict[int, float]:
    """Return ``top_K`` of each K alone, for a ranking that is only compared."""
    hits = outcome.hits[outcome.relevant > 0]
    return {k: float(hits[:, :k].any(axis=1).mean()) for k in sorted(ks)}


COLUMNS = ("k", "top_k", "recall", "precision", "random")


def curve(outcome: Outcome) -> Iterator[tuple[float, ...]]:
    """Yield for k = 1, 2, ... what `retrieval_metrics` calls top_K, recall_K, precision_K and random_top_K.

    All are means over the answerable queries, of which there is at least one.
    """
    answerable = outcome.relevant > 0
    hits, relevant = outcome.hits[answerable], outcome.relevant[answerable]
    candidates = outcome.candidates[answerable]
    found, missed = np.zeros(len(relevant)), np.ones(len(relevant))
    for drawn in range(hits.shape[1]):
        found += hits[:, drawn]
        # One more blind draw misses again: those before took irrelevant items only.
        missed *= np.maximum(candidates - relevant - drawn, 0) / (candidates - drawn)
        k = drawn + 1
        shares = (found > 0).mean(), (found / relevant).mean(), (found / k).mean(), 1.0 - missed.mean()
        yield k, *map(float, shares)


def write_curve(path: Path, outcome: Outcome) -> None:
    """Write the curve as CSV, one line per k, six digits behind the point."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([k, *(f"{value:.6f}" for value in values)] for k, *values in curve(outcome))
