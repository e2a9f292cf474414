"""Swaps of groups and paired intervals: against brute force, in both orders, and the groups that hold it together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.measures.swaps import Paired, holm, paired_f1, paired_mean

QUIET = settings(max_examples=25, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def macro(truth: np.ndarray, decisions: Sequence[np.ndarray]) -> float:
    """Mean over seeds of macro F1 over the classes with support, class by class."""
    found = []
    for each in decisions:
        pairs = [(t, p) for t, p in zip(truth.T, each.T, strict=True) if t.any()]
        found.append(np.mean([2 * (t & p).sum() / (t.sum() + p.sum()) for t, p in pairs]) if pairs else 0.0)
    return float(np.mean(found))


def drawn(seed: int, rows: int = 9, classes: int = 3) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Truth, and decisions of two experiments with two seeds each; classes may lack support, rows any label."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, classes)) < rng.choice([0.0, 0.3, 0.7], size=classes)
    first, second = ([truth ^ (rng.random(truth.shape) < rate) for _ in range(2)] for rate in (0.2, 0.4))
    return truth, first, second


def negated(found: Paired) -> list[float]:
    return [-found.difference, -found.high, -found.low, found.p]


def told(found: Paired) -> list[float]:
    return [found.difference, found.low, found.high, found.p]


@QUIET
@given(SEEDS)
def test_f1_of_a_few_groups_is_tested_by_every_way_to_swap_them(seed: int) -> None:
    truth, first, second = drawn(seed)
    groups = np.array([3, 3, 0, 0, 0, 1, 2, 2, 1])
    found = paired_f1(truth, first, second, groups)
    observed = macro(truth, first) - macro(truth, second)
    assert found.difference == pytest.approx(observed)
    far = []
    for swap in itertools.product([False, True], repeat=4):
        taken = np.array(swap)[groups][:, None]
        one = [np.where(taken, b, a) for a, b in zip(first, second, strict=True)]
        two = [np.where(taken, a, b) for a, b in zip(first, second, strict=True)]
        far.append(abs(macro(truth, one) - macro(truth, two)) >= abs(observed) - 1e-9)
    assert found.p == pytest.approx(np.mean(far))


@QUIET
@given(SEEDS)
def test_a_mean_over_few_groups_is_tested_by_every_way_to_swap_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, groups = rng.integers(0, 2, 12).astype(float), rng.normal(size=12), rng.integers(0, 6, 12)
    found = paired_mean(first, second, groups)
    observed = first.mean() - second.mean()
    signs = np.array(list(itertools.product([1, -1], repeat=6)))[:, groups]
    far = np.abs((signs * (first - second)).mean(axis=1)) >= abs(observed) - 1e-9
    assert (found.difference, found.p) == (pytest.approx(observed), pytest.approx(far.mean()))
    assert found.low < found.difference < found.high


def test_many_groups_are_swapped_by_chance_near_what_the_normal_law_says() -> None:
    rng = np.random.default_rng(0)
    apart = rng.normal(0.1, 1.0, 400)
    found = paired_mean(apart, np.zeros(400), np.arange(400))
    spread = np.sqrt((apart**2).sum()) / 400
    by_law = 1 - np.mean(np.abs(rng.normal(size=200_000)) < found.difference / spread)
    assert found.p == pytest.approx(by_law, abs=0.02)
    assert 0.001 < found.p < 0.5


@QUIET
@given(SEEDS, st.sampled_from([9, 40]))
def test_the_other_order_gives_the_other_sign_and_the_same_p(seed: int, rows: int) -> None:
    truth, first, second = drawn(seed, rows)
    groups = np.arange(rows) // 2
    forth, back = (paired_f1(truth, *pair, groups) for pair in ((first, second), (second, first)))
    assert told(back) == pytest.approx(negated(forth))
    assert back.p == forth.p
    values = [np.mean([(each == truth).mean(axis=1) for each in of], axis=0) for of in (first, second)]
    forth, back = paired_mean(values[0], values[1], groups), paired_mean(values[1], values[0], groups)
    assert told(back) == pytest.approx(negated(forth))
    assert back.p == forth.p


@pytest.mark.parametrize("rows", [9, 60])
def test_equal_experiments_differ_by_nothing(rows: int) -> None:
    truth, first, _ = drawn(1, rows)
    assert told(paired_f1(truth, first, first, np.arange(rows))) == [0, 0, 0, 1]
    right = (first[0] == truth).all(axis=1).astype(float)
    assert told(paired_mean(right, right, np.arange(rows))) == [0, 0, 0, 1]


def test_a_clear_difference_is_found_and_its_interval_leaves_zero_out() -> None:
    truth, first, _ = drawn(2, 80)
    worse = [truth ^ (np.random.default_rng(3).random(truth.shape) < 0.5)]
    found = paired_f1(truth, first, worse, np.arange(80))
    assert 0 < found.low < found.difference < found.high
    assert found.p == 1 / 10_000  # of 9,999 swaps none comes near


def test_an_experiment_with_fewer_seeds_stands_for_each_of_the_others() -> None:
    truth, first, second = drawn(4, 30)
    groups = np.arange(30)
    once, thrice = paired_f1(truth, first[:1] * 2, second, groups), paired_f1(truth, first[:1], second, groups)
    assert told(once) == pytest.approx(told(thrice))


def test_rows_copied_within_their_group_make_nothing_surer() -> None:
    truth, first, second = drawn(5, 30)
    groups, copies = np.arange(30), np.tile(np.arange(30), 10)
    alone = paired_f1(truth, first, second, groups)
    copied = paired_f1(truth[copies], [each[copies] for each in first], [each[copies] for each in second], copies)
    assert told(copied) == pytest.approx(told(alone))
    apart = np.random.default_rng(0).normal(0.2, 1.0, 30)
    alone, copied = (paired_mean(apart[at], np.zeros(len(at)), at) for at in (groups, copies))
    assert told(copied) == pytest.approx(told(alone))
    surer = paired_mean(apart[copies], np.zeros(300), np.arange(300))  # as if the copies were rows of their own
    assert surer.high - surer.low < 0.5 * (alone.high - alone.low)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    rng, held, low_p, times = np.random.default_rng(0), 0, 0, 80
    for _ in range(times):
        groups = np.repeat(np.arange(40), 3)
        first = rng.normal(size=40)[groups] + rng.normal(size=120)
        second = rng.normal(size=40)[groups] + rng.normal(size=120)
        found = paired_mean(first, second, groups)
        held += found.low <= 0 <= found.high
        low_p += found.p <= 0.05
    assert 0.88 <= held / times <= 0.99
    assert low_p / times <= 0.12


def test_holm_multiplies_the_smallest_p_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@QUIET
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_the_step_down_rule_rejects(p: list[float]) -> None:
    level, rejected = 0.05, set()
    for rank, at in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        if p[at] * (len(p) - rank) > level:
            break
        rejected.add(at)
    assert {at for at, value in enumerate(holm(p)) if value <= level} == rejected
