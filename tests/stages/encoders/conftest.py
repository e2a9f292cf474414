"""The packaged models, loaded once for all tests, and texts that differ in length."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from stages.encoders.catalog import EncoderChoice, build_encoder
from stages.encoders.protocol import Encoder, Placement


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
