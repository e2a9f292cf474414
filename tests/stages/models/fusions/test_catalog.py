"""Keys of fusion and head: a shared one is the head's, `fusion_` reaches the fusion, mistakes are told at their key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stages.models.fusions.catalog import option_keys
from stages.train.params import TrainParams

MF = {"features": ["t", "v"], "fusion": "mf", "head": "mlp"}


def test_a_shared_name_is_the_heads_and_the_prefix_reaches_the_fusion() -> None:
    recipe = TrainParams(**MF, lr=0.5, fusion_lr=0.25, hidden=[8], fusion_hidden=16, components=4).recipe
    assert (recipe.head_options.lr, recipe.head_options.hidden) == (0.5, (8,))
    assert (recipe.fusion_options.lr, recipe.fusion_options.hidden) == (0.25, 16)
    assert recipe.fusion_options.components == 4


def test_all_options_are_written_by_their_keys() -> None:
    recipe = TrainParams(**MF, lr=0.5, fusion_lr=0.25).recipe
    fusion, head = option_keys("mf", "mlp")
    written = {
        **dict(fusion.written(recipe.fusion_options)),
        **dict(head.written(recipe.head_options or fusion.options())),
    }
    assert (written["lr"], written["fusion_lr"], written["components"]) == (0.5, 0.25, 50)
    assert "fusion_components" not in written
    assert TrainParams(**MF, **written).recipe == recipe


def test_what_is_not_given_keeps_its_default() -> None:
    recipe = TrainParams(**MF, lr=0.5).recipe
    assert recipe.fusion_options.lr == TrainParams(**MF).recipe.fusion_options.lr != 0.5


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        ({"fusion_lr": -1.0}, "fusion_lr", "greater than 0"),
        ({"hidden": 16}, "hidden", "valid"),
        ({"components": 3, "fusion_components": 4}, "fusion_components", "the same as 'components'"),
        ({"fusion_depth": 3}, "fusion_depth", "unknown key 'fusion_depth'"),
    ],
)
def test_mistakes_are_told_at_the_key_that_was_written(options: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainParams(**MF, **options)
    assert any(each["loc"][0] == key and said in each["msg"] for each in caught.value.errors())


def test_a_fusion_with_its_own_classifier_has_no_prefix() -> None:
    with pytest.raises(ValidationError, match="unknown key 'fusion_lr'"):
        TrainParams(features=["t", "v"], fusion="attention", head="native", fusion_lr=0.1)
