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


def test_mistakes_in_fields_and_options_are_told_together() -> None:
    with pytest.raises(ValidationError) as caught:
        FitParams(encoder="w2v", seed=-1, epochs=0, windows=2)
    assert {error["loc"][0] for error in caught.value.errors()} == {"field", "seed", "epochs", "windows"}
