"""A `fit` entry is flat: its further keys are the options of its encoder, and every mistake is told at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stages.fit.options import W2vOptions
from stages.fit.params import FitParams

WORDS: dict[str, Any] = {"encoder": "w2v", "field": "caption"}


def test_options_have_the_defaults_of_the_specification() -> None:
    params = FitParams(**WORDS)
    assert (params.seed, params.transductive) == (0, False)
    assert params.options == W2vOptions(vector_size=100, window=5, min_count=1, epochs=5, negative=5)
    assert FitParams(**WORDS, vector_size=300).options.model_dump()["vector_size"] == 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder": "w2w"}, "did you mean 'w2v'"),
        ({"encoder": "minilm"}, "name it in the section `embed`"),
        ({"field": "image"}, "reads a text field"),
        ({"vector_sise": 50}, "did you mean 'vector_size'"),
        ({"components": 3}, "takes ['epochs', 'min_count', 'negative', 'vector_size', 'window']"),
        ({"vector_size": 0}, "greater than or equal to 1"),
        ({"vector_size": "100"}, "valid integer"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"transductive": "maybe"}, "valid boolean"),
    ],
)
def test_one_mistake(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FitParams(**{**WORDS, **change})
    assert said in str(caught.value)


PAIR: dict[str, Any] = {"encoder": "bert-pair-ft", "field": "caption"}


def test_options_of_a_pair_have_the_defaults_of_the_specification() -> None:
    options = FitParams(**PAIR).options.model_dump()
    fine = {"lr": 5e-5, "batch": 32, "epochs": 3, "optimizer": "adamw", "pool": "pooled", "max_len": 64}
    base = {"vse_width": 512, "vse_epochs": 30, "vse_batch": 64, "vse_lr": 0.01}
    frozen = {"image_encoder": "efficientnet-lite0", "words_encoder": "minilm"}
    assert options.items() >= (fine | base | frozen).items()
    assert FitParams(**PAIR, words_encoder="wordvec", words_model="glove.txt", image_encoder="resnet50").options


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"field": "image"}, "'bert-pair-ft' reads a text field"),
        ({"image_encoder": "resnet51"}, "no frozen image encoder 'resnet51' (did you mean 'resnet"),
        ({"image_encoder": "minilm"}, "no frozen image encoder 'minilm'"),
        ({"image_encoder": "resnet152-ft"}, "no frozen image encoder"),
        ({"words_encoder": "use"}, "no frozen encoder of words 'use'"),
        ({"words_encoder": "wordvec"}, "words_model: encoder 'wordvec' has no weights of its own"),
        ({"image_encoder": "googlenet"}, "image_model: encoder 'googlenet' has no weights of its own"),
        ({"image_encoder": "colorhist", "image_model": "x"}, "image_model: encoder 'colorhist' has no weights"),
        ({"vse_widht": 3}, "did you mean 'vse_width'"),
        ({"vse_epochs": 0}, "greater than or equal to 1"),
    ],
)
def test_one_mistake_of_a_pair(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FitParams(**{**PAIR, **change})
    assert said in str(caught.value)


def test_mistakes_in_fields_and_options_are_told_together() -> None:
    with pytest.raises(ValidationError) as caught:
        FitParams(encoder="w2v", seed=-1, epochs=0, windows=2)
    assert {error["loc"][0] for error in caught.value.errors()} == {"field", "seed", "epochs", "windows"}
