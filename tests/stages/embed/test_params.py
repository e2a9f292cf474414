"""What an entry of `embed` may say; every mistake is refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stages.embed.params import EmbedParams
from stages.encoders.catalog import EncoderChoice


def refused(**params: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        EmbedParams(**{"encoder": "minilm", "field": "caption", **params})
    return str(caught.value)


def test_the_defaults():
    params = EmbedParams(encoder="minilm", field="caption")
    assert (params.dtype, params.missing_rule, params.max_failed_share) == ("float16", "encode_empty", 0.05)
    assert params.choice == EncoderChoice(None, None, None)
    assert EmbedParams(encoder="colorhist", field="image").missing_rule == "zero"


def test_choices_reach_the_encoder():
    params = EmbedParams(encoder="minilm", field="title", model="models/mine", pool="cls", max_len=64, missing="zero")
    assert params.choice == EncoderChoice("models/mine", "cls", 64)
    assert params.missing_rule == "zero"


@pytest.mark.parametrize(
    ("name", "nearest"), [("minilmm", "minilm"), ("USE", ""), ("efficientnet-lite", "efficientnet-lite0"), ("clip", "")]
)
def test_an_unknown_encoder_is_refused_with_the_nearest(name, nearest):
    message = refused(encoder=name)
    assert f"no encoder {name!r}" in message
    assert "diptych catalog encoders" in message
    assert (f"did you mean {nearest!r}" in message) == bool(nearest)


def test_a_field_of_the_wrong_kind_is_refused():
    assert "encoder 'minilm' reads a text field; found field 'image'" in refused(field="image")
    assert "reads the field 'image'; found field 'caption'" in refused(encoder="colorhist")
    assert "found field 'imgae' (did you mean 'image'?)" in refused(encoder="colorhist", field="imgae")


@pytest.mark.parametrize("option", [{"pool": "cls"}, {"max_len": 9}, {"model": "x"}], ids=lambda each: next(iter(each)))
def test_an_option_that_the_encoder_lacks_is_refused(option):
    (name,) = option
    assert f"encoder 'use' has no option {name!r}; it has none" in refused(encoder="use", **option)


def test_an_option_of_another_encoder_is_refused_with_those_it_has():
    message = refused(encoder="efficientnet-lite0", field="image", pool="cls")
    assert "has no option 'pool'; it has ['model']" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unknown", 1), ("pool", "max"), ("max_len", 2), ("max_len", "many"), ("model", ""), ("dtype", "bfloat16"),
        ("missing", "mean"), ("max_failed_share", -0.1), ("max_failed_share", 1.1), ("max_failed_share", float("nan")),
        ("device", "cpu"), ("encoder", 3), ("field", None),
    ],
)  # fmt: skip
def test_wrong_keys_and_values_are_refused(key, value):
    assert key in refused(**{key: value})


def test_images_have_no_empty_to_encode():
    assert "use zero for images" in refused(encoder="colorhist", field="image", missing="encode_empty")


def test_params_are_frozen():
    with pytest.raises(ValidationError):
        EmbedParams(encoder="hash", field="caption").dtype = "float32"
