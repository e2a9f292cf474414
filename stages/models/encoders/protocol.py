"""What an encoder is: the one protocol that the catalogue builds, the batching loop drives and `embed` stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Raw = str | bytes | tuple[str, bytes]
"""A text, an encoded picture, or both: what `prepare` gets of an item, by the kind of the encoder."""
Precision = Literal["exact", "fast"]
NetworkEngine = Literal["torch", "openvino"]
ZeroRows = Literal["refused", "absent", "legal"]


@dataclass(frozen=True)
class Part:
    """One array of the row that an encoder gives for an item.

    Attributes
    ----------
    name : {"vectors", "tokens", "map", "regions"}
    shape : tuple of int
        Of one item; `tokens` and `regions` count positions first.
    counted : bool
        Whether only the first positions may be filled: their number then lies behind the part, as one more number.
    """

    name: Literal["vectors", "tokens", "map", "regions"]
    shape: tuple[int, ...]
    counted: bool = False

    @property
    def width(self) -> int:
        """Numbers that the part takes in a row."""
        return math.prod(self.shape) + self.counted


def row_width(parts: Sequence[Part]) -> int:
    """Return the numbers of a row that is made of these parts, one behind the other."""
    return sum(part.width for part in parts)


@dataclass(frozen=True)
class Placement:
    """Where and how an encoder shall compute; `place` finds it from the machine's settings.

    Attributes
    ----------
    device : str
        "cpu", "cuda" or "cuda:<n>": one that is there.
    engine : {"torch", "openvino"}
        What runs a network.
    precision : {"exact", "fast"}
        The numeric contract: cosine of each vector to the torch fp32 batch-of-one reference at least .999999 or .999.
    by_name : bool
        Whether the engine was asked for by its name: what it cannot run is then refused, and never run by another.
    """

    device: str = "cpu"
    engine: NetworkEngine = "torch"
    precision: Precision = "exact"
    by_name: bool = False


@dataclass
class Runtime:
    """What computes in fact, for the provenance of the rows: engine, the device it is on, type of its arithmetic.

    The type may still change at the first batch, see `HeldNetwork`; so ask when the rows are there.
    """

    engine: Literal["torch", "openvino", "numpy", "opencv"]
    device: str = "cpu"
    compute_dtype: str = "float32"


class Encoder(Protocol):
    """One raw item in, one row of numbers out; deterministic, no augmentation, no gradient.

    Attributes
    ----------
    dim : int
        Width of a row: `row_width(parts)`.
    zero_rows : {"refused", "absent", "legal"}
        What a vector of zeros means: a fault; an item in which this encoder knows nothing, so that it counts as absent;
        or a vector like any other.
    runs_network : bool
        Whether a device and an engine are to be chosen for it; others compute with numpy, wherever.
    bytewise : bool
        Whether rows are whole numbers of 0 to 255, which the store keeps as bytes whatever `dtype` says.
    budget : int
        Largest cost of one batch: its length times the `cost` of its costliest item. Known after `load`, which may
        choose it by the device.
    concurrency : int
        Threads that shall call `encode` at once. Known after `load`.
    window : int
        Items prepared ahead: enough to sort by cost with profit, few enough that their inputs stay small.
    chunk : int
        Items that one call of `prepare` gets: 1 where one takes long (pictures), more where the call itself does.
    """

    dim: int
    zero_rows: ZeroRows
    runs_network: bool
    bytewise: bool
    budget: int
    concurrency: int
    window: int
    chunk: int

    @property
    def parts(self) -> Sequence[Part]:
        """Return what a row is made of, first always `vectors` of shape [D]; an attribute will do."""

    def identity(self) -> Mapping[str, Any]:
        """Return all that causes a vector as plain JSON values, without loading the model: the fingerprint's record."""

    def load(self, placement: Placement) -> Runtime:
        """Load the weights to where they shall compute; called once, when something must be computed.

        Raises
        ------
        InputError
            When the files are not what this encoder can load.
        """

    def prepare(self, raws: Sequence[Any]) -> Sequence[Any]:
        """Turn raw items (see `Raw`: a text, an encoded picture, or both) into model inputs; called from threads.

        Raises
        ------
        UndecodableImage
            When the bytes are no picture that the decoder accepts.
        ItemError
            When an item cannot be encoded for another reason of its own.
        """

    def notes(self) -> Mapping[str, int]:
        """Return counts of what was prepared so far that a user should know of, such as texts that were cut."""

    def cost(self, prepared: Any) -> int:
        """Return the share of `budget` that a prepared item takes (tokens for text, 1 for an image)."""

    def encode(self, batch: Sequence[Any]) -> Rows:
        """Return the rows [n, dim] of n prepared items, in their order.

        Raises
        ------
        OutOfMemory
            When the device cannot hold a batch of this size; a smaller one may do.
        """


class OutOfMemory(Exception):  # noqa: N818 (the name says what happened)
    """The device has no room for a batch; the batching loop halves it and tries again."""


class Simple:
    """Defaults of the protocol for an encoder whose items all cost the same and whose row is one vector."""

    zero_rows: ZeroRows = "refused"
    runs_network = False
    bytewise = False
    budget = 64
    concurrency = 1
    window = 1024
    chunk = 1
    dim: int

    @property
    def parts(self) -> Sequence[Part]:
        """One vector."""
        return (Part("vectors", (self.dim,)),)

    def notes(self) -> Mapping[str, int]:
        """Return nothing."""
        return {}

    def cost(self, prepared: Any) -> int:  # noqa: ARG002 (every item counts the same)
        """Return 1."""
        return 1
