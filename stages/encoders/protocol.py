"""What an encoder is: the one protocol that the catalogue builds, the batching loop drives and `embed` stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Engine = Literal["torch", "numpy"]


class Encoder(Protocol):
    """One raw item in, one vector out; deterministic, no augmentation, no gradient.

    Attributes
    ----------
    engine : {"torch", "numpy"}
        What computes: "numpy" stays on the processor, whatever device is asked for.
    dim : int
        Width D of every vector.
    budget : int
        Largest cost of one batch: its length times the `cost` of its costliest item.
    window : int
        Items prepared ahead: enough to sort by cost with profit, few enough that their inputs stay small.
    """

    engine: Engine
    dim: int
    budget: int
    window: int

    def identity(self) -> Mapping[str, Any]:
        """Return all that causes a vector as plain JSON values, without loading the model: the fingerprint's record."""

    def load(self, device: str) -> None:
        """Load the weights onto `device` ("cpu", "cuda", "cuda:1"); called once, when something must be computed.

        Raises
        ------
        InputError
            When the files are not what this encoder can load.
        """

    def prepare(self, raw: Any) -> Any:
        """Turn one raw item (`str` for text, encoded `bytes` for an image) into a model input; called from threads.

        Raises
        ------
        UndecodableImage
            When the bytes are no picture that the decoder accepts.
        """

    def cost(self, prepared: Any) -> int:
        """Return the share of `budget` that a prepared item takes (tokens for text, 1 for an image)."""

    def encode(self, batch: Sequence[Any]) -> Vectors:
        """Return the vectors [n, D] of n prepared items, in their order."""
