"""CKA and neighbour overlap: their laws, brute force on small data, and what has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract import SilentProgress
from stages.models.measures import similarity
from stages.models.measures.similarity import linear_cka, neighbour_overlap
from store.errors import InputError

SMALL = settings(max_examples=40, deadline=None, derandomize=True)
TRACKER = SilentProgress()


def centred_grams(*sides: np.ndarray) -> list[np.ndarray]:
    count = len(sides[0])
    centring = np.eye(count) - 1 / count
    return [centring @ side @ side.T @ centring for side in sides]


def brute_cka(x: np.ndarray, y: np.ndarray) -> float:
    k, m = centred_grams(x, y)
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def brute_debiased(x: np.ndarray, y: np.ndarray) -> float:
    """Song's estimate as it is written: Gram matrices with an empty diagonal."""

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        count, ones = len(a), np.ones(len(a))
        k, m = (gram - np.diag(np.diag(gram)) for gram in (a @ a.T, b @ b.T))
        both = (ones @ k @ ones) * (ones @ m @ ones) / ((count - 1) * (count - 2))
        return float((np.trace(k @ m) + both - 2 / (count - 2) * (ones @ k @ m @ ones)) / (count * (count - 3)))

    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def sides(seed: int, count: int = 30, width: int = 5, other: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width)) + 3
    return x, np.concatenate([x[:, :2], rng.normal(size=(count, other - 2))], axis=1) - 1


@SMALL
@given(st.integers(0, 10_000), st.integers(5, 30), st.integers(1, 9), st.integers(2, 40))
def test_it_equals_the_gram_matrices_written_out(seed: int, count: int, width: int, other: int) -> None:
    x, y = sides(seed, count, max(2, width), other)
    found = linear_cka(x, y)
    assert found.value == pytest.approx(brute_cka(x, y), abs=1e-10)
    assert found.debiased == pytest.approx(brute_debiased(x, y), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("widest", [0, 8192])
def test_both_ways_of_summing_agree_in_small_blocks_too(monkeypatch: pytest.MonkeyPatch, widest: int) -> None:
    x, y = sides(1, 61)
    whole = linear_cka(x, y)
    monkeypatch.setattr(similarity, "_WIDEST", widest)  # 0: always over the rows
    monkeypatch.setattr(similarity, "_VALUES", 40)
    monkeypatch.setattr(similarity, "_TILE", 7)
    blocks = linear_cka(x, y)
    assert (blocks.value, blocks.debiased) == (pytest.approx(whole.value), pytest.approx(whole.debiased))


def test_it_is_one_for_itself_a_rotation_and_a_factor() -> None:
    x, y = sides(2)
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0]
    for other in (x, x @ rotation, 1000 * x @ rotation - 7):
        found = linear_cka(x, other)
        assert (found.value, found.debiased) == (pytest.approx(1), pytest.approx(1))
    assert linear_cka(x @ rotation * 0.01, y).value == pytest.approx(linear_cka(x, y).value)
    assert linear_cka(x, y).value == pytest.approx(linear_cka(y, x).value)
    # Not for a factor on one column alone: it is the large directions that count.
    assert linear_cka(x, x * np.array([1, 1, 1, 1, 9])).value < 0.9


def test_unrelated_vectors_are_near_zero_and_only_the_debiased_form_with_few_rows() -> None:
    rng = np.random.default_rng(4)
    many = linear_cka(rng.normal(size=(4000, 6)), rng.normal(size=(4000, 9)))
    assert many.value < 0.01
    few = linear_cka(rng.normal(size=(60, 300)), rng.normal(size=(60, 200)))
    assert few.value > 0.7
    assert few.debiased is not None
    assert abs(few.debiased) < 0.1


def test_vectors_far_from_the_origin_keep_their_digits() -> None:
    x, y = sides(5)
    assert linear_cka(x + 1e6, y - 1e6).value == pytest.approx(linear_cka(x, y).value, rel=1e-8)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])
def test_a_constant_is_refused_on_either_side(value: float) -> None:
    x, _ = sides(6)
    constant = np.full((30, 3), value, np.float32)
    with pytest.raises(InputError, match="found the same in all 30 rows of the second; nothing can be aligned"):
        linear_cka(x, constant)
    with pytest.raises(InputError, match="found the same in all 30 rows of the first"):
        linear_cka(constant, x)


def test_rows_equally_far_from_each_other_have_no_debiased_value() -> None:
    found = linear_cka(np.eye(12), sides(7, 12)[0])
    assert 0 < found.value < 1
    assert found.debiased is None


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="expected at least 4 rows, found 3"):
        linear_cka(*sides(8, 3))


def brute_overlap(x: np.ndarray, y: np.ndarray, queries: list[int], k: int) -> float:
    def near(side: np.ndarray, row: int) -> set[int]:
        order = sorted((float(((side[row] - side[at]) ** 2).sum()), at) for at in range(len(side)) if at != row)
        return {at for _, at in order[:k]}

    return float(np.mean([len(near(x, row) & near(y, row)) / k for row in queries]))


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_the_overlap_is_what_counting_one_by_one_gives(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-2, 3, (20, width)).astype(float) for width in (2, 3))  # with many ties
    queries = rng.choice(20, 7, replace=False)
    found = neighbour_overlap(x, y, queries, [1, most, 19], TRACKER)
    for k, share in found.items():
        assert share == pytest.approx(brute_overlap(x, y, queries.tolist(), k))
    assert found[19] == 1


def test_the_overlap_with_itself_is_one_and_with_a_shuffle_what_chance_gives() -> None:
    x = np.random.default_rng(9).normal(size=(600, 8))
    every = np.arange(600)
    assert neighbour_overlap(x, x * 3, every, [1, 5, 10], TRACKER) == {1: 1, 5: 1, 10: 1}
    shuffled = x[np.random.default_rng(10).permutation(600)]
    found = neighbour_overlap(x, shuffled, every, [10, 60], TRACKER)
    assert found[10] == pytest.approx(10 / 599, abs=0.006)
    assert found[60] == pytest.approx(60 / 599, abs=0.006)
