"""The parameters of an experiment: every mistake is found at once, at its own key, with a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from stages.models.fusions.catalog import AttentionOptions, LateOptions, NoOptions
from stages.models.heads.catalog import HEADS
from stages.models.heads.options import ForestOptions, MlpOptions
from stages.train.params import TrainParams


def mistakes(**params: Any) -> dict[str, str]:
    """Return each wrong key with its message."""
    with pytest.raises(ValidationError) as caught:
        TrainParams(**params)
    return {".".join(map(str, each["loc"])): each["msg"] for each in caught.value.errors()}


GOOD: dict[str, Any] = {"features": ["a"], "head": "mlp"}


def test_the_smallest_experiment() -> None:
    params = TrainParams(**GOOD)
    assert (params.fusion, params.seeds, params.scale, params.task) == ("none", [0], "none", None)
    assert params.recipe.head_options == MlpOptions()
    assert params.recipe.fusion_options == NoOptions()


def test_further_keys_go_to_the_fusion_or_the_head_that_knows_them() -> None:
    params = TrainParams(features=["a", "b"], fusion="late", head="forest", weights="uniform", trees=7)
    assert params.recipe.fusion_options == LateOptions(weights="uniform")
    assert params.recipe.head_options == ForestOptions(trees=7)


def test_a_native_fusion_takes_its_own_options() -> None:
    recipe = TrainParams(features=["a", "b"], fusion="attention", head="native", width=32, lr=0.1, qk=True).recipe
    assert recipe.fusion_options == AttentionOptions(width=32, lr=0.1, qk=True)
    assert recipe.head_options is None


@pytest.mark.parametrize("head", [row.name for row in HEADS.values() if row.tasks])
@pytest.mark.parametrize("fusion", ["none", "concat", "late"])
def test_every_head_stands_behind_every_fusion_without_a_classifier(fusion: str, head: str) -> None:
    features = ["a"] if fusion == "none" else ["a", "b"]
    assert TrainParams(features=features, fusion=fusion, head=head).recipe.head == head


@pytest.mark.parametrize(
    ("wrong", "key", "message"),
    [
        ({"epoch": 3}, "epoch", "unknown key 'epoch' (did you mean 'epochs'?); fusion 'none' with head 'mlp' takes"),
        ({"feature": ["a"]}, "feature", "unknown key 'feature' (did you mean 'features'?)"),
        ({"zebra": 1}, "zebra", "unknown key 'zebra'; fusion 'none'"),
        ({"trees": 3}, "trees", "unknown key 'trees' (an option of forest); fusion 'none' with head 'mlp' takes"),
        ({"qk": True}, "qk", "unknown key 'qk' (an option of attention)"),
        ({"head": "mpl"}, "head", "no head 'mpl' (did you mean 'mlp'?); see `diptych catalog heads`"),
        ({"fusion": "conct"}, "fusion", "no fusion 'conct' (did you mean 'concat'?); see `diptych catalog fusions`"),
        ({"fusion": "attention", "features": ["a", "b"]}, "head", "fusion 'attention' takes `head: native`"),
        ({"head": "native"}, "head", "fusion 'none' takes one of ['linear', 'mlp', 'dnn', 'forest', 'linreg', 'svm', "),
        ({"head": "kmeans_svm"}, "head", "ranks a gallery and predicts no labels: name it as `head` of a `retrieve`"),
        ({"head": "linreg", "task": "multilabel"}, "task", "head 'linreg' does ['regression']; found task 'multila"),
        ({"features": ["a", "b"]}, "features", "fusion 'none' takes exactly one of `features`; found 2; use concat"),
        ({"fusion": "late"}, "features", "fusion 'late' joins at least 2 features; found 1"),
        ({"features": []}, "features", "at least 1 item"),
        ({"features": "a"}, "features", "valid list"),
        ({"lr": 0}, "lr", "greater than 0"),
        ({"hidden": [16, 0]}, "hidden.1", "greater than or equal to 1"),
        ({"seeds": []}, "seeds", "at least 1 item"),
        ({"seeds": [1, 1]}, "seeds", "seeds repeat in [1, 1]; equal seeds give equal models and no deviation"),
        ({"seeds": [-1]}, "seeds.0", "greater than or equal to 0"),
        ({"seeds": [2**32]}, "seeds.0", "less than 4294967296"),
        ({"task": "ranking"}, "task", "'multilabel', 'multiclass' or 'regression'"),
        ({"scale": "minmax"}, "scale", "'none', 'standard' or 'l2'"),
        ({"modality_dropout": 0.5}, "modality_dropout", "of 1 input none can be dropped, a row keeps one"),
        (
            {"fusion": "late", "features": ["a", "b"], "modality_dropout": 0.5},
            "modality_dropout",
            "fusion 'late' fits each head on one input alone",
        ),
        ({"modality_dropout": 1.0, "features": ["a", "b"], "fusion": "concat"}, "modality_dropout", "less than 1"),
        ({"monitor": "top_5", "task": "multilabel"}, "monitor", "top_5 is for multiclass"),
        ({"monitor": "f1"}, "monitor", "'loss' or 'top_5'"),
        ({"head": ["mlp"]}, "head", "valid string"),
        ({"fusion": {"late": 1}}, "fusion", "valid string"),
        ({"head": "mlp", "haed": "knn"}, "haed", "unknown key 'haed' (did you mean 'head'?); fusion"),
    ],
)
def test_a_mistake_is_told_at_its_key(wrong: dict[str, Any], key: str, message: str) -> None:
    found = mistakes(**{**GOOD, **wrong})
    assert list(found) == [key]
    assert message in found[key]


def test_a_misspelt_head_is_named_beside_the_head_that_is_missing() -> None:
    found = mistakes(features=["a"], haed="knn", neighbours=3, fusion_width=3)
    assert set(found) == {"head", "haed"}
    assert found["haed"] == "unknown key 'haed' (did you mean 'head'?)"


def test_all_mistakes_are_told_together_whatever_their_kind() -> None:
    wrong = {"fusion": "late", "scale": "minmax", "seeds": [3, 3], "lr": -1, "weights": "best", "epoch": 2, "task": "x"}
    assert set(mistakes(**{**GOOD, **wrong})) == {"features", "scale", "seeds", "lr", "weights", "epoch", "task"}


def test_two_unknown_names_are_told_together() -> None:
    assert set(mistakes(features=["a"], fusion="lat", head="forst", seeds="x")) == {"fusion", "head", "seeds"}


def test_a_missing_head_is_told() -> None:
    assert mistakes(features=["a"]) == {"head": "Field required"}


def test_mistakes_keep_their_place_inside_a_larger_file() -> None:
    class File(BaseModel):
        train: dict[str, TrainParams]

    with pytest.raises(ValidationError) as caught:
        File.model_validate({"train": {"one": {**GOOD, "lrr": 1}, "two": {**GOOD, "dropout": 2}, "three": 7}})
    found = {each["loc"]: each["type"] for each in caught.value.errors()}
    assert found == {
        ("train", "one", "lrr"): "value_error",
        ("train", "two", "dropout"): "less_than",
        ("train", "three"): "model_type",
    }


def test_params_are_frozen_and_survive_a_round_trip() -> None:
    params = TrainParams(**GOOD, lr=0.5, hidden=[3])
    assert TrainParams.model_validate(params.model_dump()) == params
    with pytest.raises(ValidationError):
        params.scale = "l2"  # type: ignore[misc]
