"""Modality dropout: an input that is taken away looks like one that the item never had, and only in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.models.features.layout import Block, layout_columns, split_inputs
from stages.models.features.table import DroppingTable, FeatureTable, MappedTable, layout_of, missing_row
from stages.models.fusions.catalog import FUSIONS, ModelSpec
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem, training_batch
from store import open_matrix
from store.errors import InputError

LAYOUT = (Block(3, {"tokens": (2, 3), "token_mask": (2,)}), Block(2), Block(1))
COLUMNS = layout_columns(LAYOUT)
MISSING = np.concatenate([[7.0] * 3, [0.0] * 8, [8.0] * 2, [9.0], [0.0] * 3]).astype(np.float32)


def rows(count: int, *, lacking: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, (count, COLUMNS)).astype(np.float32)
    x[:, -3:] = rng.random((count, 3)) >= lacking
    return x


def test_the_share_is_dropped_and_never_all() -> None:
    x = rows(20_000, lacking=0)
    out = DroppingTable(x, LAYOUT, MISSING, 0.2).batch(np.arange(20_000), np.random.default_rng(1))
    present = out[:, -3:]
    assert present.sum(axis=1).min() == 1
    bare = 0.2**3 / 3  # of three, each stays behind as often
    np.testing.assert_allclose(1 - present.mean(axis=0), 0.2 - bare, atol=0.01)
    heavy = DroppingTable(x, LAYOUT, MISSING, 0.99).batch(np.arange(20_000), np.random.default_rng(1))
    np.testing.assert_allclose(heavy[:, -3:].mean(axis=0), 1 / 3, atol=0.03)


def test_what_is_dropped_is_replaced_whole_and_the_rest_is_untouched() -> None:
    x = rows(500)
    before = x.copy()
    out = DroppingTable(x, LAYOUT, MISSING, 0.5).batch(np.arange(500), np.random.default_rng(1))
    np.testing.assert_array_equal(x, before)
    for was, now, stands in zip(*(split_inputs(each, LAYOUT) for each in (x, out, MISSING[None])), strict=True):
        dropped = (was.present > 0) & (now.present == 0)
        assert 0 < dropped.sum() < 500
        np.testing.assert_array_equal(now.vector[~dropped], was.vector[~dropped])
        np.testing.assert_array_equal(now.vector[dropped], np.repeat(stands.vector, dropped.sum(), axis=0))
        for name, array in now.arrays.items():
            assert not array[dropped].any()
            np.testing.assert_array_equal(array[~dropped], was.arrays[name][~dropped])


def test_a_row_without_any_input_stays_as_it_is() -> None:
    x = rows(50)
    x[:, -3:] = 0
    out = DroppingTable(x, LAYOUT, MISSING, 0.9).batch(np.arange(50), np.random.default_rng(1))
    np.testing.assert_array_equal(out, x)


def test_it_follows_the_generator_and_reading_for_another_purpose_drops_nothing() -> None:
    x = rows(60)
    table = DroppingTable(x, LAYOUT, MISSING, 0.5)
    first, again, other = (table.batch(np.arange(60), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(table[np.arange(60)], x)
    np.testing.assert_array_equal(table[:], x)
    doubled = MappedTable(table, lambda given: given * 2, COLUMNS)
    np.testing.assert_array_equal(doubled.batch(np.arange(60), np.random.default_rng(1)), first * 2)
    np.testing.assert_array_equal(doubled[:], x * 2)
    np.testing.assert_array_equal(training_batch(x, np.arange(60), np.random.default_rng(1)), x)


def test_a_table_of_matrices_knows_what_stands_in_for_a_missing_input(dataset: Any) -> None:
    rng = np.random.default_rng(0)
    paths = [dataset.matrix(name, rng.normal(size=(8, 2)), missing=value) for name, value in (("t", 0.5), ("v", -3.0))]
    matrices = [open_matrix(path) for path in paths]
    layout = layout_of(matrices, {}, "concat")
    table = FeatureTable(matrices, np.arange(8), layout)
    np.testing.assert_array_equal(table.missing, [0.5, 0.5, -3.0, -3.0, 0.0, 0.0])
    np.testing.assert_array_equal(table.missing, missing_row(matrices, layout))


SYSTEMS = [("concat", "mlp"), ("concat", "linear"), ("attention", "native")]
QUICK: dict[str, Any] = {"epochs": 4, "batch": 32, "lr": 0.01}


def train(fusion: str, head: str, toy: Any, share: float, scale: Any = "standard", seed: int = 0) -> FusedModel:
    row = FUSIONS[fusion]
    options = {**QUICK, "modality_dropout": share}
    own = row.options(**options, width=8, hidden=(8,)) if row.native else row.options()
    recipe = ModelSpec(fusion, head, scale, own, None if row.native else HEADS[head].options(**options))
    x = toy.joined
    model = FusedModel((5, 4), recipe, Problem("multilabel", 3, seed))
    return model.fit(LabelledRows(x[:100], toy.y[:100]), LabelledRows(x[100:120], toy.y[100:120]))


def saved(model: FusedModel, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    model.save(folder)
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("fusion", "head"), SYSTEMS)
def test_it_acts_in_training_and_repeats_itself(fusion: str, head: str, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    plain = saved(train(fusion, head, toy, 0.0), tmp_path / "plain")
    first = saved(train(fusion, head, toy, 0.5), tmp_path / "first")
    again = saved(train(fusion, head, toy, 0.5), tmp_path / "again")
    assert first == again
    assert first["network.safetensors"] != plain["network.safetensors"]
    assert first["scaler.safetensors"] == plain["scaler.safetensors"]


def test_a_model_that_lost_inputs_in_training_suffers_less_when_one_is_missing(make_toy: Any) -> None:
    toy = make_toy("multilabel", count=600)
    x = toy.joined.copy()
    x[:, :5], x[:, 9] = 0.0, 0.0  # the left one is gone
    wrong = []
    for share in (0.0, 0.4):
        options = HEADS["mlp"].options(hidden=(32,), epochs=40, batch=32, lr=0.01, modality_dropout=share, patience=40)
        model = FusedModel(
            (5, 4),
            ModelSpec("concat", "mlp", "none", FUSIONS["concat"].options(), options),
            Problem("multilabel", 3, 0),
        ).fit(LabelledRows(toy.joined[:400], toy.y[:400]), LabelledRows(toy.joined[:0], toy.y[:0]))
        scores = np.clip(model.scores(x[400:]), 1e-6, 1 - 1e-6)
        wrong.append(float(-(toy.y[400:] * np.log(scores) + (1 - toy.y[400:]) * np.log(1 - scores)).mean()))
    assert wrong[1] < 0.8 * wrong[0]


@pytest.mark.parametrize(
    ("fusion", "layout", "message"),
    [
        ("late", (5, 4), r"fusion 'late' fits each head on one input alone, of which none can be dropped"),
        ("none", (9,), r"of 1 input none can be dropped, a row keeps one; leave the key out"),
    ],
)
def test_it_is_refused_where_there_is_nothing_to_drop(fusion: str, layout: tuple[int, ...], message: str) -> None:
    recipe = ModelSpec(fusion, "mlp", "none", FUSIONS[fusion].options(), HEADS["mlp"].options(modality_dropout=0.5))
    with pytest.raises(InputError, match=message):
        FusedModel(layout, recipe, Problem("multilabel", 3, 0))
