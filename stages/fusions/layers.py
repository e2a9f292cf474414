"""Where vectors are taken within a model: what an input was, what its own layer made of it, and what all became."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["raw", "tuned", "fused"]


class Layer(NamedTuple):
    """A place within a model where vectors are taken: what an input was, what became of it, and what all became.

    Attributes
    ----------
    kind : {"raw", "tuned", "fused"}
        The vectors of an input before scaling; what the fusion's own layer for this input gives; the fused vectors that
        the classifier reads.
    at : int or None
        The position of the input; None where all have become one.
    """

    kind: Kind
    at: int | None = None


FUSED = Layer("fused")
