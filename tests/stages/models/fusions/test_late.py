"""docs/systems/fusions.md#late: a weighted mean between the heads' scores, with weights tuned on dev."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.fusions.late import LateModel, combine, simplex
from stages.models.heads.model import LabelledRows
from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from store.errors import InputError
from store.items.records import Task

SEEDS = st.integers(0, 2**32 - 1)
QUIET = settings(max_examples=50, deadline=None, derandomize=True)


def drawn(seed: int, modalities: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [M, n, K], weights [M], and presence [n, M] with at least one input a row."""
    rng = np.random.default_rng(seed)
    present = (rng.random((10, modalities)) < 0.6).astype(np.float32)
    present[np.arange(10), rng.integers(modalities, size=10)] = 1
    return rng.random((modalities, 10, 4)).astype(np.float32), rng.dirichlet(np.ones(modalities)), present


@QUIET
@given(SEEDS)
def test_the_mean_lies_between_the_heads_that_are_there(seed: int) -> None:
    scores, weights, present = drawn(seed)
    p = combine(scores, weights, present)
    there = present.T[:, :, None] > 0
    assert (p >= np.where(there, scores, np.inf).min(axis=0) - 1e-6).all()
    assert (p <= np.where(there, scores, -np.inf).max(axis=0) + 1e-6).all()


@QUIET
@given(SEEDS)
def test_all_the_weight_on_one_head_reproduces_it(seed: int) -> None:
    scores, _, _ = drawn(seed, 2)
    np.testing.assert_array_equal(combine(scores, np.array([1.0, 0.0]), np.ones((10, 2), np.float32)), scores[0])


@QUIET
@given(SEEDS)
def test_identical_heads_are_a_fixed_point(seed: int) -> None:
    scores, weights, present = drawn(seed)
    same = np.broadcast_to(scores[:1], scores.shape)
    np.testing.assert_allclose(combine(same, weights, present), scores[0], atol=1e-6)


@QUIET
@given(SEEDS)
def test_weights_are_shared_out_again_over_what_a_row_has(seed: int) -> None:
    scores, weights, present = drawn(seed)
    shares = weights * present
    expected = np.einsum("nm,mnk->nk", shares / shares.sum(axis=1, keepdims=True), scores)
    np.testing.assert_allclose(combine(scores, weights, present), expected, atol=1e-6)


def test_scores_under_the_mask_change_nothing() -> None:
    scores, weights, present = drawn(1)
    other = np.where(present.T[:, :, None] > 0, scores, 0.987).astype(np.float32)
    np.testing.assert_array_equal(combine(scores, weights, present), combine(other, weights, present))


def test_a_row_that_has_only_weightless_inputs_takes_their_plain_mean() -> None:
    scores = np.array([[[0.2]], [[0.6]], [[0.8]]], np.float32)
    found = combine(scores, np.array([1.0, 0.0, 0.0]), np.array([[0, 1, 1]], np.float32))
    np.testing.assert_allclose(found, [[0.7]], atol=1e-6)


def test_a_row_without_any_input_takes_the_weighted_mean_of_all() -> None:
    scores = np.array([[[0.2]], [[0.6]]], np.float32)
    np.testing.assert_allclose(combine(scores, np.array([0.75, 0.25]), np.zeros((1, 2), np.float32)), [[0.3]])


@pytest.mark.parametrize(("size", "count"), [(1, 1), (2, 21), (3, 231), (4, 1771)])
def test_the_grid_holds_every_weighting_in_steps_of_a_twentieth(size: int, count: int) -> None:
    grid = np.array(list(simplex(size, 20)))
    assert grid.shape == (count, size)
    np.testing.assert_allclose(grid.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(grid * 20, np.round(grid * 20), atol=1e-9)
    assert len(np.unique(np.round(grid * 20), axis=0)) == count
    assert grid.min() >= 0


class Fixed:
    """A head whose scores are its input; it remembers what it was fitted on."""

    def __init__(self, epochs: int = 0) -> None:
        self.history = [Epoch(at + 1, 10.0 * epochs + at, float(at)) for at in range(epochs)]

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (the protocol)
        self.train, self.dev = train, dev
        return self

    def scores(self, x: np.ndarray) -> np.ndarray:
        return x

    def save(self, folder: Path) -> None:
        (folder / "fixed.json").write_text("0")

    def restore(self, folder: Path) -> Self:
        assert (folder / "fixed.json").is_file()
        return self


def problem(task: Task, seed: int = 0, share: float = 0.3) -> LabelledRows:
    """Rows whose truth is the first head's word with probability `share`, else the second's."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), size=(2, 400))
    first = rng.random(400) < share
    if task == "regression":
        y = share * scores[0, :, :1] + (1 - share) * scores[1, :, :1]
        return LabelledRows(
            np.concatenate([scores[0, :, :1], scores[1, :, :1], np.ones((400, 2))], 1).astype(np.float32), y
        )
    x = np.concatenate([scores[0], scores[1], np.ones((400, 2))], axis=1).astype(np.float32)
    told = np.where(first[:, None], scores[0], scores[1])
    if task == "multilabel":
        return LabelledRows(x, (rng.random((400, 3)) < told).astype(np.float32))
    return LabelledRows(x, np.array([rng.choice(3, p=row) for row in told]))


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "regression"])
def test_dev_weights_are_the_best_of_the_grid_and_near_the_truth(task: Task) -> None:
    rows = problem(task)
    width = 1 if task == "regression" else 3
    model = LateModel((width, width), [Fixed(), Fixed()], task, "dev").fit(rows, rows)
    np.testing.assert_allclose(model.weights_ * 20, np.round(model.weights_ * 20), atol=1e-9)
    assert model.weights_.sum() == pytest.approx(1)
    assert model.weights_[0] == pytest.approx(0.3, abs=1e-9 if task == "regression" else 0.15)


def test_dev_weights_find_the_only_head_that_knows() -> None:
    rows = problem("multiclass", share=1.0)
    sure = rows.x.copy()
    sure[:, :3] = np.eye(3)[rows.y]
    model = LateModel((3, 3), [Fixed(), Fixed()], "multiclass", "dev").fit(rows, LabelledRows(sure, rows.y))
    np.testing.assert_array_equal(model.weights_, [1, 0])


@pytest.mark.parametrize(("weights", "dev"), [("uniform", 400), ("dev", 0)])
def test_uniform_weights_are_equal_and_so_are_those_without_dev_rows(weights: Any, dev: int) -> None:
    rows = problem("multilabel")
    model = LateModel((3, 3), [Fixed(), Fixed()], "multilabel", weights).fit(
        rows, LabelledRows(rows.x[:dev], rows.y[:dev])
    )
    np.testing.assert_array_equal(model.weights_, [0.5, 0.5])
    np.testing.assert_allclose(model.scores(rows.x), (rows.x[:, :3] + rows.x[:, 3:6]) / 2, atol=1e-6)


def test_each_head_is_fitted_on_the_rows_that_have_its_input() -> None:
    rows = problem("multilabel")
    rows.x[:100, 7] = 0
    rows.x[350:, 6] = 0
    heads = [Fixed(), Fixed()]
    LateModel((3, 3), heads, "multilabel", "uniform").fit(rows, LabelledRows(rows.x[340:360], rows.y[340:360]))
    np.testing.assert_array_equal(heads[0].train.x, rows.x[:350, :3])
    np.testing.assert_array_equal(heads[1].train.x, rows.x[100:, 3:6])
    np.testing.assert_array_equal(heads[1].train.y, rows.y[100:])
    assert (len(heads[0].dev), len(heads[1].dev)) == (10, 20)


def test_an_input_that_no_train_row_has_is_an_error_with_its_remedy() -> None:
    rows = problem("multilabel")
    rows.x[:, 7] = 0
    with pytest.raises(InputError, match=r"rows that have input 2 of 2; found none among 400; leave it out of"):
        LateModel((3, 3), [Fixed(), Fixed()], "multilabel", "dev").fit(rows, rows)


def test_the_curve_is_the_mean_of_the_heads_and_one_that_ended_counts_with_its_last_epoch() -> None:
    rows = problem("multilabel")
    history = LateModel((3, 3), [Fixed(2), Fixed(4)], "multilabel", "uniform").fit(rows, rows).history
    assert [each.epoch for each in history] == [1, 2, 3, 4]
    assert [each.train_loss for each in history] == [30.0, 31.0, 31.5, 32.0]
    assert [each.valid_loss for each in history] == [0.0, 1.0, 1.5, 2.0]


def test_weights_come_back_from_disk(tmp_path: Path) -> None:
    rows = problem("multilabel")
    model = LateModel((3, 3), [Fixed(), Fixed()], "multilabel", "dev").fit(rows, rows)
    model.save(tmp_path)
    again = LateModel((3, 3), [Fixed(), Fixed()], "multilabel", "dev").restore(tmp_path)
    np.testing.assert_array_equal(again.scores(rows.x), model.scores(rows.x))
