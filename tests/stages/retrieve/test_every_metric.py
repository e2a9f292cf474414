"""Every retrieval metric against a plain loop over the queries, and against scikit-learn where it has the same."""

from __future__ import annotations

from math import comb
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stages.retrieve.metrics import Outcome, reached_shares, retrieval_metrics

QUIET = settings(max_examples=80, deadline=None, derandomize=True)


def rankings(seed: int, longest: int) -> list[list[bool]]:
    """Full rankings of galleries of several sizes, some without a relevant item; at least one has one."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(longest, longest + 8, size=rng.integers(1, 9))
    rates = rng.choice([0.0, 0.1, 0.6, 1.0], size=len(sizes))
    found = [(rng.random(size) < rate).tolist() for size, rate in zip(sizes, rates, strict=True)]
    found[0][int(rng.integers(len(found[0])))] = True
    return found


def outcome(full: list[list[bool]], longest: int) -> Outcome:
    return Outcome(
        np.array([ranked[:longest] for ranked in full], bool),
        np.array([sum(ranked) for ranked in full]),
        np.array([ranked.index(True) + 1 if any(ranked) else 0 for ranked in full]),
        np.array([len(ranked) for ranked in full]),
    )


def blind_first(relevant: int, items: int) -> float:
    """The mean of 1 / place of the first relevant item, by the share of the orders that have it there."""
    ways = comb(items, relevant)
    return sum(comb(items - place, relevant - 1) / ways / place for place in range(1, items - relevant + 2))


def counted(full: list[list[bool]], ks: list[int]) -> dict[str, float]:
    answered = [ranked for ranked in full if any(ranked)]
    found: dict[str, float] = {"n_queries": len(full), "n_unanswerable": len(full) - len(answered)}
    for k in ks:
        found[f"top_{k}"] = fmean(any(ranked[:k]) for ranked in answered)
        found[f"top_{k}_all"] = fmean(any(ranked[:k]) for ranked in full)
        found[f"precision_{k}"] = fmean(sum(ranked[:k]) / k for ranked in answered)
        found[f"recall_{k}"] = fmean(sum(ranked[:k]) / sum(ranked) for ranked in answered)
    found["mrr"] = fmean(1 / (ranked.index(True) + 1) for ranked in answered)
    for k in {1, *ks}:
        missed = [comb(len(ranked) - sum(ranked), k) / comb(len(ranked), k) for ranked in answered]
        found[f"random_top_{k}"] = 1 - fmean(missed)
    for k in ks:
        found[f"random_recall_{k}"] = fmean(k / len(ranked) for ranked in answered)
    found["random_mrr"] = fmean(blind_first(sum(ranked), len(ranked)) for ranked in answered)
    return found


@QUIET
@given(st.integers(0, 2**32 - 1), st.sets(st.integers(1, 6), min_size=1, max_size=3))
def test_all_are_those_of_a_loop_over_the_queries(seed: int, ks: set[int]) -> None:
    full = rankings(seed, max(ks))
    ranked, expected = outcome(full, max(ks)), counted(full, sorted(ks))
    assert retrieval_metrics(ranked, list(ks)) == pytest.approx(expected)
    assert reached_shares(ranked, list(ks)) == pytest.approx({k: expected[f"top_{k}"] for k in ks})


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_one_relevant_item_a_query_makes_mrr_what_scikit_learn_calls_average_precision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = int(rng.integers(1, 8)), int(rng.integers(2, 9))
    places = rng.integers(0, gallery, size=queries)
    full = [[place == at for at in range(gallery)] for place in places.tolist()]
    found = retrieval_metrics(outcome(full, gallery), [1, gallery])
    scores = np.tile(-np.arange(gallery, dtype=float), (queries, 1))
    assert found["mrr"] == pytest.approx(sk.label_ranking_average_precision_score(np.array(full), scores))
    assert found["top_1"] == pytest.approx(np.mean(places == 0))
    assert found[f"recall_{gallery}"] == 1


def test_a_single_query_with_a_single_item() -> None:
    assert retrieval_metrics(outcome([[True]], 1), [1]) == counted([[True]], [1])
