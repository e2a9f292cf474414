"""The retrieval metrics of one ranking: pure functions on arrays, called by `run` with what `ranking` found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.errors import InputError
from stages.intervals import mean_estimates, named_ends

Ints = NDArray[np.int64]


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
    """

    hits: NDArray[np.bool_]
    relevant: Ints
    first: Ints
    candidates: Ints


def retrieval_metrics(outcome: Outcome, ks: Sequence[int]) -> dict[str, float | int]:
    """Score a ranking.

    Returns
    -------
    dict
        ``n_queries``, ``n_unanswerable``; for each K ``top_K`` (share of queries with a relevant item among the first
        K), ``top_K_all`` (the same, unanswerable queries counting as misses), ``precision_K``, ``recall_K`` and
        ``random_top_K``, what K blind draws from the query's gallery are expected to reach; ``random_top_1`` also where
        1 is none of the K; ``mrr`` over the full ranking. Means leave unanswerable queries out.

    Raises
    ------
    InputError
        When no query has a relevant gallery item.

    Source: systems.md 6.1 and 6.3.
    """
    answerable = outcome.relevant > 0
    total, answered = len(answerable), int(answerable.sum())
    if answered == 0:
        raise InputError(
            f"expected queries with a relevant gallery item, found none among {total}; "
            "choose relevance: any_label, another gallery or a split in which the labels meet"
        )
    values: dict[str, float | int] = {"n_queries": total, "n_unanswerable": total - answered}
    values |= {name: float(each.mean()) for name, each in _by_query(outcome, ks).items()}
    values |= {f"top_{k}_all": values[f"top_{k}"] * answered / total for k in sorted(ks)}
    relevant, candidates = outcome.relevant[answerable], outcome.candidates[answerable]
    for k in sorted({1, *ks}):
        values[f"random_top_{k}"] = float(_blind(relevant, candidates, k).mean())
    return values


def metric_intervals(outcome: Outcome, ks: Sequence[int], groups: Ints) -> dict[str, float]:
    """Return ``<metric>_low`` and ``<metric>_high`` of ``top_K``, ``precision_K``, ``recall_K`` and ``mrr``.

    They are the ends of the 95 % interval over draws of the answerable queries.

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
    return values


def _blind(relevant: Ints, candidates: Ints, k: int) -> NDArray[np.float64]:
    """Return the chance that k of G items drawn without replacement hold one of r: 1 - C(G - r, k) / C(G, k)."""
    draws = np.arange(k)[:, None]  # [k, 1] against [1, Q]
    left = np.maximum(candidates - relevant - draws, 0)
    return 1.0 - np.asarray((left / (candidates - draws)).prod(axis=0))


def reached_shares(outcome: Outcome, ks: Sequence[int]) -> dict[int, float]:
    """Return ``top_K`` of each K alone, for a ranking that is only compared."""
    hits = outcome.hits[outcome.relevant > 0]
    return {k: float(hits[:, :k].any(axis=1).mean()) for k in sorted(ks)}
