"""The numeric contract: whatever computes and whatever shares a batch, a vector keeps its cosine to the reference.

The reference is torch in float32, one item at a time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Encoder, Placement, Rows, Runtime
from store import cosines

CONTRACT = {"exact": 0.999999, "fast": 0.999}
TEXTS = ("minilm", "tiny", "bert", "bge")
QUICK = ("tiny", "minilm", "efficientnet-lite0")
SLOW = (
    "bert", "bge", "resnet18", "resnet50", "resnet101", "resnet152", "resnet50v2", "inceptionv3", "mobilenetv2",
    "googlenet", "vgg16",
)  # fmt: skip
NETWORKS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def encoder_of(name: str, tiny: Path) -> Encoder:
    if name == "tiny":
        return build_encoder("minilm", EncoderChoice(model=str(tiny), max_len=16))
    packaged = ENCODERS[name].model.startswith("package:")
    return build_encoder(name, EncoderChoice(model=None if packaged else "random"))


@pytest.fixture(scope="module")
def reference(tiny: Path, raws: Callable[[str], list[Any]]) -> Callable[[str], Rows]:
    @cache
    def vectors(name: str) -> Rows:
        encoder = encoder_of(name, tiny)
        encoder.load(Placement("cpu", "torch", "exact"))
        return np.concatenate([encoder.encode([each]) for each in encoder.prepare(raws(name))])

    return vectors


@pytest.fixture(scope="module")
def raws(texts: list[str], photographs: list[np.ndarray]) -> Callable[[str], list[Any]]:
    """Give the items: the first three texts below are of one length, the last is longer than any model takes."""

    def of(name: str) -> list[Any]:
        if name in TEXTS:
            return ["a red dog ran", "two old men sat", "the sea was calm", *texts]
        noise = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
        pixels = [*photographs, photographs[0][::-1], photographs[1][:40, :90], noise]
        return [png_of(each) for each in pixels]

    return of


def png_of(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def batches(count: int) -> Iterator[Sequence[int]]:
    """Give the places that share a batch: alone, of equal length, all with the longest, and in another order."""
    yield from ([place] for place in range(count))
    yield range(3)
    yield range(count)
    yield range(count)[::-1]
    yield [0, count - 1]
    yield [1] * 5


@pytest.mark.parametrize("precision", CONTRACT)
@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("name", NETWORKS)
def test_vectors_keep_the_contract_in_any_company(name, engine, precision, tiny, raws, reference):
    encoder = encoder_of(name, tiny)
    runtime = encoder.load(Placement("cpu", engine, precision))
    assert runtime == Runtime(engine, "cpu", runtime.compute_dtype)
    prepared = encoder.prepare(raws(name))
    expected = reference(name)
    lowest = {}
    for places in batches(len(prepared)):
        found = encoder.encode([prepared[place] for place in places])
        lowest[tuple(places)] = float(cosines(found, expected[list(places)]).min())
    assert min(lowest.values()) >= CONTRACT[precision], lowest
    if precision == "exact":
        assert runtime.compute_dtype == "float32"
