"""A small encoder that counts what is asked of it, and can be told to misbehave; tests register it in the catalogue."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stages.models.encoders.catalog.row import EncoderRow, Kind
from stages.models.encoders.protocol import Placement, Raw, Rows, Runtime, Simple

DIM = 8


def vector_of(content: Raw) -> np.ndarray:
    """The vector of a content, which any process can work out: 8 numbers of float32 from its digest."""
    if isinstance(content, tuple):
        return np.asarray(np.mean([vector_of(each) for each in content], axis=0))
    digest = hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()
    return np.frombuffer(digest[:DIM], np.uint8).astype(np.float32) / 16 + 1


class Counting(Simple):
    """Eight numbers per content; `loads` and `encoded` say what was asked, `spoil` alters a batch on its way out."""

    dim = DIM
    budget = 4
    window = 16

    def __init__(self, delay: float = 0) -> None:
        self.delay = delay
        self.loads = 0
        self.encoded: list[Raw] = []
        self.spoil: Callable[[Sequence[Any], Rows], Rows] = lambda _, vectors: vectors

    def row(self, name: str, kind: Kind) -> EncoderRow:
        return EncoderRow(
            name=name,
            kind=kind,
            dim=DIM,
            model="none",
            input="the whole",
            pooling="none",
            normalisation="none",
            licence="Apache-2.0",
            source="a test",
            options=(),
            build=lambda _: self,
            empty_text=kind == "text",
        )

    def identity(self) -> Mapping[str, Any]:
        return {"family": "counting"}

    def load(self, placement: Placement) -> Runtime:
        assert placement.device == "cpu"
        self.loads += 1
        return Runtime("numpy")

    def prepare(self, raws: Sequence[Raw]) -> Sequence[Raw]:
        return raws

    def encode(self, batch: Sequence[Raw]) -> Rows:
        time.sleep(self.delay)
        self.encoded += batch
        return self.spoil(batch, np.stack([vector_of(each) for each in batch]))
