"""Blocks side by side: gathered, cut, scaled and joined exactly, and never learnt from rows with a placeholder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from stages.models.features.layout import as_layout, split_blocks
from stages.models.features.scaling import BlockScaler, TargetScale
from stages.models.features.table import gather
from stages.models.fusions.catalog import ModelSpec, NoOptions
from stages.models.fusions.model import FusedModel
from stages.models.fusions.side_by_side import ConcatFusion
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem
from store import open_matrix
from store.errors import RunError

SCALES = ("none", "standard", "l2")


def joined(blocks: list[np.ndarray], present: np.ndarray | None = None) -> np.ndarray:
    shown = np.ones((len(blocks[0]), len(blocks))) if present is None else present
    return np.concatenate([*blocks, shown], axis=1).astype(np.float32)


@pytest.fixture
def blocks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(3, 2, (20, 4)).astype(np.float32), rng.normal(-50, 9, (20, 3)).astype(np.float32)]


def test_gathered_rows_are_the_vectors_in_order_and_then_who_is_there(dataset: Any, blocks: list[np.ndarray]) -> None:
    usable = np.arange(20) != 5
    paths = [dataset.matrix("t", blocks[0], usable=usable, missing=0.25), dataset.matrix("v", blocks[1])]
    rows = np.array([5, 19, 0])
    found = gather([open_matrix(path) for path in paths], rows, as_layout((4, 3)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[1:, :4], blocks[0][[19, 0]])
    np.testing.assert_array_equal(found[:, 4:7], blocks[1][rows])
    np.testing.assert_array_equal(found[0, :4], 0.25)
    np.testing.assert_array_equal(found[:, 7:], [[0, 1], [1, 1], [1, 1]])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 5))
def test_cutting_undoes_joining_for_arrays_and_tensors(widths: list[int], count: int) -> None:
    rng = np.random.default_rng(sum(widths))
    parts, present = [rng.normal(size=(count, width)) for width in widths], rng.random((count, len(widths))) < 0.5
    x = joined([np.zeros((count, 0)), *parts], np.zeros((count, 0)))
    x = np.concatenate([x, present.astype(np.float32)], axis=1)
    for given_x in (x, torch.from_numpy(x)):
        found, shown = split_blocks(given_x, widths)
        for block, part in zip(found, parts, strict=True):
            np.testing.assert_array_equal(np.asarray(block), part.astype(np.float32))
        np.testing.assert_array_equal(np.asarray(shown), present)


def test_another_width_is_refused() -> None:
    with pytest.raises(RunError, match=r"expected 7 columns for blocks of \[2, 3\]; found 6"):
        split_blocks(np.zeros((1, 6)), [2, 3])


def test_concat_puts_each_block_in_its_place_exactly(blocks: list[np.ndarray]) -> None:
    z = ConcatFusion((4, 3)).fit_transform(joined(blocks))
    assert z.shape == (20, 7)
    np.testing.assert_array_equal(z[:, :4], blocks[0])
    np.testing.assert_array_equal(z[:, 4:], blocks[1])


def test_swapping_the_inputs_swaps_the_blocks(blocks: list[np.ndarray]) -> None:
    z, swapped = (
        ConcatFusion((4, 3)).fit_transform(joined(blocks)),
        ConcatFusion((3, 4)).fit_transform(joined(blocks[::-1])),
    )
    np.testing.assert_array_equal(swapped, np.concatenate([z[:, 4:], z[:, :4]], axis=1))


def test_a_single_block_passes_unchanged(blocks: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(ConcatFusion((4,)).fit_transform(joined(blocks[:1])), blocks[0])


def test_standard_scaling_gives_each_column_mean_0_and_deviation_1(blocks: list[np.ndarray]) -> None:
    z = BlockScaler((4, 3), "standard").fit_transform(joined(blocks))
    np.testing.assert_allclose(z[:, :7].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z[:, :7].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(z[:, 7:], 1)


def test_standard_scaling_does_not_learn_from_placeholders(blocks: list[np.ndarray]) -> None:
    present = np.ones((20, 2))
    present[10:, 0] = 0
    other = [blocks[0].copy(), blocks[1]]
    other[0][10:] = 1e6
    first, second = (BlockScaler((4, 3), "standard").fit(joined(each, present)) for each in (blocks, other))
    np.testing.assert_array_equal(first.mean_, second.mean_)
    np.testing.assert_array_equal(first.deviation_, second.deviation_)
    np.testing.assert_allclose(first.mean_[:4], blocks[0][:10].mean(axis=0), rtol=1e-5)


def test_a_constant_column_becomes_zero_and_does_not_explode(blocks: list[np.ndarray]) -> None:
    blocks[0][:, 2] = 0.1
    z = BlockScaler((4, 3), "standard").fit_transform(joined(blocks))
    np.testing.assert_allclose(z[:, 2], 0, atol=1e-6)


def test_unit_norm_is_taken_per_row_and_block_and_zero_stays_zero(blocks: list[np.ndarray]) -> None:
    blocks[1][3] = 0
    z = BlockScaler((4, 3), "l2").fit_transform(joined(blocks))
    np.testing.assert_allclose(np.linalg.norm(z[:, :4], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(z[:, 4:7], axis=1), np.arange(20) != 3, atol=1e-6)


def test_no_scaling_is_the_identity(blocks: list[np.ndarray]) -> None:
    x = joined(blocks)
    np.testing.assert_array_equal(BlockScaler((4, 3)).fit_transform(x), x)


def test_an_input_that_train_lacks_stays_as_it_is_with_a_warning(
    blocks: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    x = joined(blocks, np.tile([1.0, 0.0], (20, 1)))
    with caplog.at_level(logging.WARNING, "diptych.fusions"):
        z = BlockScaler((4, 3), "standard").fit_transform(x)
    assert "none of 20 train rows has input 2: it stays as it is" in caplog.text
    np.testing.assert_array_equal(z[:, 4:7], blocks[1])


@pytest.mark.parametrize("scale", SCALES)
def test_scaling_comes_back_from_disk(scale: Any, blocks: list[np.ndarray], tmp_path: Path) -> None:
    x = joined(blocks)
    scaler = BlockScaler((4, 3), scale).fit(x)
    scaler.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scaler.safetensors"]
    np.testing.assert_array_equal(BlockScaler((4, 3), scale).restore(tmp_path).transform(x), scaler.transform(x))


def test_both_are_estimators_as_scikit_learn_wants_them(blocks: list[np.ndarray]) -> None:
    scaler, join = BlockScaler((4, 3), "standard"), ConcatFusion((4, 3))
    assert scaler.get_params() == {"layout": (4, 3), "scale": "standard"}
    assert join.get_params() == {"layout": (4, 3)}
    x = joined(blocks)
    copy = clone(scaler.fit(x))
    assert copy.get_params() == scaler.get_params()
    assert not hasattr(copy, "mean_")
    assert BlockScaler((4, 3)).set_params(scale="l2").scale == "l2"
    np.testing.assert_array_equal(clone(join).fit(x).transform(x), join.fit(x).transform(x))
    pipeline = make_pipeline(clone(scaler), clone(join)).fit(x)
    np.testing.assert_array_equal(pipeline.transform(x), join.transform(scaler.transform(x)))


def test_scaling_without_fitting_is_refused(blocks: list[np.ndarray]) -> None:
    with pytest.raises(NotFittedError):
        BlockScaler((4, 3), "standard").transform(joined(blocks))


def _rows(count: int, seed: int, unit: float, offset: float) -> LabelledRows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)).astype(np.float32)
    y = (x[:, :1] - 2 * x[:, 1:2]) * unit + offset
    return LabelledRows(np.concatenate([x, np.ones((count, 1), np.float32)], axis=1), y.astype(np.float32))


@pytest.mark.parametrize("head", ["linear", "mlp", "svm", "knn", "forest"])
def test_prices_in_cents_and_in_thousands_are_learned_alike(head: str, tmp_path: Path) -> None:
    shares = []
    for unit, offset in ((1.0, 0.0), (1000.0, 50_000.0)):
        train, dev, test = (_rows(n, seed, unit, offset) for n, seed in ((400, 0), (80, 1), (120, 2)))
        chosen = {"forest": {"max_depth": 6}, "linear": {"lr": 0.05}}.get(head, {})
        options = HEADS[head].options(**chosen)
        recipe = ModelSpec("none", head, "none", NoOptions(), options)
        model = FusedModel((6,), recipe, Problem("regression", 1, 0)).fit(train, dev)
        scores = model.scores(test.x)
        shares.append(float(((scores - test.y) ** 2).mean() / test.y.var()))
        model.save(tmp_path)
        again = FusedModel((6,), recipe, Problem("regression", 1, 0)).restore(tmp_path)
        assert np.array_equal(again.scores(test.x), scores)
    assert max(shares) < 0.7
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


def test_the_scale_is_that_of_train_and_equal_targets_are_harmless() -> None:
    rows = LabelledRows(np.zeros((3, 1), np.float32), np.array([[1.0], [2.0], [6.0]], np.float32))
    scale = TargetScale().fit(rows)
    assert scale.scaled(rows).y.mean() == pytest.approx(0, abs=1e-6)
    assert np.allclose(scale.unscaled(scale.scaled(rows).y), rows.y)
    flat = LabelledRows(rows.x, np.full((3, 1), 4.0, np.float32))
    assert np.allclose(TargetScale().fit(flat).scaled(flat).y, 0)
