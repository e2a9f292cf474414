"""The networks are those of the papers: their parameters counted, their shapes found by a pass without numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import ARCHITECTURES
from stages.models.encoders.image.backbone import _build

PARAMETERS = {
    "efficientnet-lite0": 4_652_008, "resnet18": 11_689_512, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "resnet50v2": 25_549_352, "inceptionv3": 23_834_568, "mobilenetv2": 3_504_872,
    "googlenet": 6_624_904, "vgg16": 138_357_544,
}  # fmt: skip
# Vector and last map of each encoder with its own choices.
SHAPES = {
    "efficientnet-lite0": (1280, (1280, 7, 7)), "resnet18": (1000, (512, 7, 7)), "resnet50": (2048, (2048, 7, 7)),
    "resnet101": (2048, (2048, 7, 7)), "resnet152": (2048, (2048, 7, 7)), "resnet50v2": (2048, (2048, 10, 10)),
    "inceptionv3": (2048, (2048, 8, 8)), "mobilenetv2": (1280, (1280, 10, 10)), "googlenet": (1000, (1024, 7, 7)),
    "vgg16": (1000, (512, 7, 7)),
}  # fmt: skip


@pytest.fixture(scope="module", params=ARCHITECTURES)
def drawn(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Give the name and the network without numbers."""
    with torch.device("meta"):
        return request.param, _build(ARCHITECTURES[request.param].name, 1000).eval()


def test_the_parameters_are_those_of_the_paper(drawn):
    name, network = drawn
    count = sum(each.numel() for each in network.parameters())
    assert count == ARCHITECTURES[name].parameters == PARAMETERS[name]


@pytest.mark.parametrize("size", [224, 299, 300, 96])
def test_the_declared_shapes_are_those_of_the_network(drawn, size):
    name, network = drawn
    with torch.device("meta"):
        features = network.forward_features(torch.zeros(1, 3, size, size))
        pooled = network.forward_head(features, pre_logits=True)
        scores = network.forward_head(features)
    assert tuple(features.shape[1:]) == ARCHITECTURES[name].map_shape(size)
    assert tuple(pooled.shape[1:]) == (ARCHITECTURES[name].pooled,)
    assert tuple(scores.shape[1:]) == (1000,)


@pytest.mark.parametrize("name", SHAPES)
def test_the_rows_of_a_network_have_the_shapes_of_the_paper(name):
    random = None if ENCODERS[name].model.startswith("package:") else "random"
    encoder = build_encoder(name, EncoderChoice(model=random, map=True))
    width, shape = SHAPES[name]
    assert [(part.name, part.shape, part.counted) for part in encoder.parts] == [
        ("vectors", (width,), False),
        ("map", shape, False),
    ]


def test_bert_is_bert_base():
    from transformers import BertConfig, BertModel

    with torch.device("meta"):
        network = BertModel(BertConfig())
    assert sum(each.numel() for each in network.parameters()) == 109_482_240


@pytest.mark.parametrize(("name", "length"), [("bert", 64), ("bge", 512)])
def test_the_rows_of_a_text_network_have_the_shapes_of_the_paper(name, length):
    encoder = build_encoder(name, EncoderChoice(model="random", tokens=True))
    assert [(part.name, part.shape, part.counted) for part in encoder.parts] == [
        ("vectors", (768,), False),
        ("tokens", (length, 768), True),
    ]
