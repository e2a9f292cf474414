"""Looking into fitted models: weights and vectors are those of the module's own forward, and who has none says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.models.features.layout import FUSED, Layer
from stages.models.fusions.catalog import FUSIONS, ModelSpec
from stages.models.fusions.late import shares
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem
from store.items.records import Task
from tests.stages.models.fusions.semantic.pair_toy import FUSIONS as PAIRED
from tests.stages.models.fusions.semantic.pair_toy import Toy, rows_of

NET = {"epochs": 1, "batch": 32, "lr": 0.02}
SMALL: dict[str, dict[str, Any]] = {
    "attention": {**NET, "width": 6, "hidden": (8,)},
    "towers": {**NET, "width": 7},
    "none": {}, "concat": {}, "late": {}, "pca": {"components": 2}, "cmf": {"components": 2, "iterations": 1},
    "mf": {"components": 2, "hidden": 4, "epochs": 1}, "gated": {"epochs": 1}, "gated2d": {"epochs": 1},
    "joint": {"epochs": 1, "width": 8, "heads": 2, "feedforward": 8, "layers": 1},
}  # fmt: skip
WORDS = {**NET, "width": 4, "words_width": 4, "joint_width": 5, "hidden": (8,), "optimizer": "adam"}
PAIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "vse": ("vector", WORDS),
    "cim": ("map", {**WORDS, "heads": 2}),
    "coot": ("map", {**WORDS, "heads": 2, "score_width": 4, "iterations": 1}),
    "sapool": ("vector", {**NET, "width": 4, "hidden": (8,), "heads": 2}),
    "dense": ("vector", {**NET, "width": 4, "hidden": (8,), "words_width": 4}),
    "dpm": (
        "vector",
        {
            **NET, "hidden": (8,), "vse_width": 4, "vse_words_width": 4, "vse_joint_width": 5, "vse_hidden": (8,),
            "vse_epochs": 1,
        },
    ),
}  # fmt: skip
IN_PIXELS = {"early", "mmeda1", "mmeda2"}  # which read pictures alone, and join as the others of `fuse` do


def fitted(fusion: str, toy: Any, task: Task = "multilabel", scale: Any = "standard", **options: Any) -> FusedModel:
    row, widths = FUSIONS[fusion], (9,) if fusion == "none" else (5, 4)
    head = "native" if row.native else "mlp"
    own = None if row.native else HEADS["mlp"].options(epochs=1, hidden=(8,))
    recipe = ModelSpec(fusion, head, scale, row.options(**{**SMALL[fusion], **options}), own)
    x = joined(fusion, toy)
    model = FusedModel(widths, recipe, Problem(task, toy.outputs, 0))
    return model.fit(LabelledRows(x[:100], toy.y[:100]), LabelledRows(x[100:120], toy.y[100:120]))


def joined(fusion: str, toy: Any) -> np.ndarray:
    return np.concatenate([*toy.blocks, np.ones((160, 1))], 1).astype(np.float32) if fusion == "none" else toy.joined


def paired(name: str) -> tuple[FusedModel, Toy, np.ndarray]:
    image, options = PAIRS[name]
    toy = Toy("multiclass")
    x = toy.joined(image, pair=name == "dpm")
    recipe = ModelSpec(name, "native", "none", PAIRED[name].options(**options), None)
    model = FusedModel(toy.layout(image, pair=name == "dpm"), recipe, toy.problem)
    return model.fit(rows_of(x, toy, 0, 100), rows_of(x, toy, 100, 120)), toy, x


def module_of(model: FusedModel) -> Any:
    """The trained torch module, behind all that holds it."""
    inner: Any = model.model
    inner = inner.model
    return getattr(inner, "joint", inner).fitted_


def lacking(x: np.ndarray) -> np.ndarray:
    """Rows of two inputs: the first four lack the text, the next three the picture."""
    x = x.copy()
    x[:4, -2], x[4:7, -1] = 0, 0
    return x


def test_the_catalogue_says_of_every_fusion_whether_it_weighs(make_toy: Any) -> None:
    toy = make_toy("multilabel")
    found = {name: (fitted(name, toy), joined(name, toy)) for name in SMALL}
    found |= {name: (model, x) for name in PAIRS for model, _, x in [paired(name)]}
    assert {*found, *IN_PIXELS} == set(FUSIONS)
    assert {name for name, (model, x) in found.items() if model.weights(x[:3]) is not None} == {
        name for name, row in FUSIONS.items() if row.weighs
    }


@pytest.mark.parametrize("qk", [False, True])
def test_attention_tells_the_weights_and_vectors_of_its_own_forward(qk: bool, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    model, x = fitted("attention", toy, qk=qk), lacking(toy.joined)
    net = module_of(model)
    with torch.inference_mode():
        fused, weights = net.fuse(torch.from_numpy(model.scaler.transform(x)))
        scores = net.head(fused).sigmoid().numpy()
    np.testing.assert_array_equal(model.weights(x), weights.numpy())
    np.testing.assert_array_equal(scores, model.scores(x))
    layers = model.layers(x)
    np.testing.assert_array_equal(layers[FUSED], fused.numpy())
    summed = sum(model.weights(x)[:, [at]] * layers[Layer("tuned", at)] for at in (0, 1))  # type: ignore[index]
    np.testing.assert_allclose(summed, layers[FUSED], atol=1e-6)


@pytest.mark.parametrize("fusion", ["attention", "late"])
def test_weights_are_shares_and_an_absent_input_has_none(fusion: str, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    weights = fitted(fusion, toy).weights(lacking(toy.joined))
    assert weights is not None
    assert (weights.dtype, weights.shape) == (np.float32, (160, 2))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(weights[:7], [[0, 1]] * 4 + [[1, 0]] * 3)
    assert (weights[7:] >= 0).all()


def test_late_tells_the_weights_by_which_it_joins_scores(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    model, x = fitted("late", toy, "multiclass"), lacking(toy.joined)
    late: Any = model.model
    weights = model.weights(x)
    assert weights is not None
    np.testing.assert_array_equal(weights[7:], np.tile(late.weights_, (153, 1)).astype(np.float32))
    scaled = model.scaler.transform(x)
    parts = [head.scores(block) for head, block in zip(late.heads, (scaled[:, :5], scaled[:, 5:9]), strict=True)]
    np.testing.assert_allclose(sum(weights[:, [at]] * parts[at] for at in (0, 1)), model.scores(x), atol=1e-6)
    assert set(model.layers(x)) == {Layer("raw", 0), Layer("raw", 1)}


def test_shares_of_rows_whose_inputs_weigh_nothing_or_are_not_there() -> None:
    found = shares(np.array([0.75, 0.25, 0.0]), np.array([[1, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]], np.float32))
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0.75, 0.25, 0]])


@pytest.mark.parametrize("image_dnn", [0, 3])
def test_towers_tell_their_tuning_layers_and_z(image_dnn: int, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    model, x = fitted("towers", toy, image_dnn=image_dnn), toy.joined
    net, layers = module_of(model), model.layers(x)
    with torch.inference_mode():
        rows = torch.from_numpy(model.scaler.transform(x))
        tuned, z = net.tuned(rows), net.fuse(rows)
    assert set(layers) == {Layer("raw", 0), Layer("raw", 1), FUSED} | {
        Layer("tuned", at) for at in ((0, 1) if image_dnn else (0,))
    }
    for at in range(2 if image_dnn else 1):
        np.testing.assert_array_equal(layers[Layer("tuned", at)], tuned[at].numpy())
    np.testing.assert_array_equal(layers[FUSED], z.numpy())
    np.testing.assert_array_equal(layers[Layer("raw", 1)], toy.blocks[1])


@pytest.mark.parametrize("name", PAIRS)
def test_visual_semantic_fusions_tell_both_sides_and_what_the_classifier_reads(name: str) -> None:
    model, toy, x = paired(name)
    net, layers = module_of(model), model.layers(x)
    last = 2 if name == "dpm" else 1
    assert set(layers) == {
        *(Layer("raw", at) for at in range(last + 1)),
        Layer("tuned", 0),
        Layer("tuned", last),
        FUSED,
    }
    with torch.inference_mode():
        logits = net.head(torch.from_numpy(layers[FUSED]))
        np.testing.assert_allclose(layers[FUSED], net.fuse(torch.from_numpy(x)).numpy(), atol=1e-6)
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), model.scores(x), atol=1e-6)
    assert layers[Layer("raw", last)].shape == (160, toy.map.shape[1])
    toy.map += 1  # another picture, the same words
    seen = model.layers(toy.joined(PAIRS[name][0], pair=name == "dpm"))
    assert (seen[Layer("tuned", last)] != layers[Layer("tuned", last)]).any()
    if name != "sapool":  # where the picture asks the words
        np.testing.assert_array_equal(seen[Layer("tuned", 0)], layers[Layer("tuned", 0)])


@pytest.mark.parametrize("fusion", ["concat", "pca", "gated"])
def test_fusions_that_give_vectors_tell_them(fusion: str, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    model, x = fitted(fusion, toy), toy.joined
    layers, join = model.layers(x), model.join
    assert join is not None
    assert set(layers) == {Layer("raw", 0), Layer("raw", 1), FUSED}
    np.testing.assert_array_equal(layers[FUSED], join.transform(model.scaler.transform(x)))
    np.testing.assert_array_equal(layers[Layer("raw", 0)], toy.blocks[0])


def test_a_lone_input_is_not_told_twice(make_toy: Any) -> None:
    toy = make_toy("multilabel")
    assert set(fitted("none", toy).layers(joined("none", toy))) == {Layer("raw", 0)}


def test_a_model_that_only_knows_one_class_has_nothing_within(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    toy.y[:] = 1
    model = fitted("attention", toy, "multiclass")
    assert model.weights(toy.joined) is None
    assert set(model.layers(toy.joined)) == {Layer("raw", 0), Layer("raw", 1)}


def test_a_restored_model_tells_the_same_and_blocks_do_not_matter(make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    model = fitted("attention", toy)
    model.save(tmp_path)
    again = FusedModel((5, 4), model.recipe, Problem("multilabel", toy.outputs, 5)).restore(tmp_path)
    many = np.tile(toy.joined, (8, 1))  # more than a network scores at once
    weights, layers = model.weights(many), model.layers(many)
    assert weights is not None
    np.testing.assert_array_equal(again.weights(many), weights)
    for layer, vectors in again.layers(many).items():
        np.testing.assert_array_equal(vectors, layers[layer])
        np.testing.assert_allclose(vectors[-160:], layers[layer][:160], atol=1e-6)
    np.testing.assert_allclose(weights[-160:], weights[:160], atol=1e-6)
