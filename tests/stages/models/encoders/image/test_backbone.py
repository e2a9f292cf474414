"""A folder in timm's layout brings its own architecture, classes and preprocessing; what is wrong in it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import ARCHITECTURES
from stages.models.encoders.image.backbone import Backbone
from stages.models.encoders.image.network import ImageNetwork
from stages.models.encoders.protocol import Encoder, Part, Placement
from store import cosines
from store.errors import InputError

CONFIG: dict[str, Any] = {
    "architecture": "resnet10t",
    "num_classes": 7,
    "pretrained_cfg": {
        "input_size": [3, 80, 80],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.25],
    },
}


@pytest.fixture(scope="module")
def network() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model("resnet10t", pretrained=False, num_classes=7).eval()


@pytest.fixture
def folder(tmp_path: Path, network: Any) -> Path:
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def build(folder: Path, **made: object) -> Encoder:
    return build_encoder("resnet50", EncoderChoice(model=str(folder), **made))


@pytest.mark.parametrize("output", ["pooled", "logits"])
def test_it_computes_what_timm_computes_with_it(folder, network, output, photographs, png, encode):
    encoder = build(folder, output=output)
    assert encoder.identity()["architecture"] == "resnet10t"
    assert encoder.parts == (Part("vectors", (512 if output == "pooled" else 7,)),)
    encoder.load(Placement())
    transform = timm.data.create_transform(**CONFIG["pretrained_cfg"])
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.fromarray(each)) for each in photographs])
        features = network.forward_features(pixels)
        expected = network.forward_head(features, pre_logits=output == "pooled").numpy()
    found = encode(encoder, [png(each) for each in photographs])
    assert cosines(found, expected).min() >= 0.999999


@pytest.mark.parametrize(("size", "cells"), [(None, 3), (32, 1), (160, 5)])
def test_its_map_has_the_shape_of_the_size_that_is_asked_for(folder, size, cells, photographs, png, encode):
    encoder = build(folder, size=size, map=True)
    assert encoder.parts[1] == Part("map", (512, cells, cells))
    encoder.load(Placement())
    (row,) = encode(encoder, [png(photographs[0])])
    assert row.shape == (encoder.dim,)
    np.testing.assert_allclose(row[512:].reshape(512, -1).mean(axis=1), row[:512], atol=1e-4)


OWN = {**CONFIG, "architecture": "resnet18"}


@pytest.fixture(scope="module")
def resnet18() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model("resnet18", pretrained=False, num_classes=7).eval()


@pytest.mark.parametrize("mode", [None, "center", "squash"])
def test_weights_of_the_rows_architecture_bring_their_own_preprocessing(
    tmp_path, resnet18, mode, photographs, png, encode
):
    save_file(resnet18.state_dict(), tmp_path / "model.safetensors")
    how = {**CONFIG["pretrained_cfg"], "crop_mode": mode, "crop_pct": 1.0 if mode == "squash" else 0.9}
    (tmp_path / "config.json").write_text(json.dumps({**OWN, "pretrained_cfg": how}))
    encoder = build_encoder("resnet18", EncoderChoice(model=str(tmp_path), output="pooled"))
    encoder.load(Placement())
    transform = timm.data.create_transform(**how)
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.fromarray(each)) for each in photographs])
        expected = resnet18.forward_head(resnet18.forward_features(pixels), pre_logits=True).numpy()
    found = encode(encoder, [png(each) for each in photographs])
    assert cosines(found, expected).min() >= 0.999999


def test_the_rows_own_weights_and_those_that_say_nothing_keep_the_papers_preprocessing(folder):
    papers = build_encoder("resnet18", EncoderChoice(model="random")).preprocessing
    silent = {name: value for name, value in OWN.items() if name != "pretrained_cfg"}
    (folder / "config.json").write_text(json.dumps(silent))
    assert build_encoder("resnet18", EncoderChoice(model=str(folder))).preprocessing == papers
    (folder / "config.json").write_text(json.dumps(OWN))
    own = ImageNetwork(Backbone(ARCHITECTURES["resnet18"], str(folder), EncoderChoice()), EncoderChoice())
    assert own.preprocessing == papers
    assert own.backbone.classes == 7


def test_what_the_entry_says_goes_before_what_the_weights_say(folder):
    (folder / "config.json").write_text(json.dumps(OWN))
    encoder = build_encoder("resnet18", EncoderChoice(model=str(folder), size=64, resize="squash", scale="unit"))
    assert (encoder.preprocessing.size, encoder.preprocessing.resize) == (64, "squash")
    assert (encoder.preprocessing.mean, encoder.preprocessing.interpolation) == ((0.0, 0.0, 0.0), "bicubic")


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {name: value for name, value in config.items() if name != key}


def own(**changed: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {**config, "pretrained_cfg": {**config["pretrained_cfg"], **changed}}


@pytest.mark.parametrize(
    "change",
    [
        without("num_classes"),
        without("pretrained_cfg"),
        lambda config: {**config, "architecture": "no_such_network"},
        lambda config: {**config, "architecture": "hf-hub:someone/model"},
        lambda config: {**config, "architecture": "vit_tiny_patch16_224"},
        lambda config: {**config, "architecture": 3},
        lambda config: {**config, "num_classes": "many"},
        own(interpolation="nearest"),
        own(crop_mode="border"),
        own(crop_mode="squash"),  # with crop_pct .9, under which timm cuts the border off
        own(input_size=[3]),
        own(mean="grey"),
        own(std=[1.0]),
        lambda _: [],
    ],
)  # fmt: skip
def test_a_wrong_config_is_wrong_input(folder, change):
    (folder / "config.json").write_text(json.dumps(change(CONFIG)))
    with pytest.raises(InputError, match=r"model: expected architecture, num_classes .* in config\.json; found"):
        build(folder)


def test_a_config_that_is_no_json_is_wrong_input(folder):
    (folder / "config.json").write_text("{damaged")
    with pytest.raises(InputError, match=r"in config\.json; found"):
        build(folder)


def test_a_folder_without_weights_is_told_before_anything_is_computed(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"expected model\.safetensors or .*; found neither"):
        build(folder).identity()


def test_weights_of_another_network_are_refused(folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, "architecture": "resnet18"}))
    with pytest.raises(InputError, match=r"expected the weights of resnet18 in .*; found another file"):
        build(folder).load(Placement())


def test_weights_that_are_no_safetensors_are_refused(folder):
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="expected the weights of resnet10t"):
        build(folder).load(Placement())
