"""The options of the visual-semantic fusions of systems.md 4.8 to 4.13, with the defaults named there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.heads.options import NetworkOptions, Width


class VseOptions(NetworkOptions):
    """Sizes and losses of systems.md 4.8, trained by SGD with momentum.

    Attributes
    ----------
    width : int
        d of the common space of pictures and texts.
    words_width : int
        Hidden width of the LSTM over the words.
    joint_width : int
        Width of the joint vector m; `hidden` layers stand between it and the outputs.
    loss : {"cosine", "vsepp"}
        All pairs by their labels, or every pair against the others of its row and column.
    hardest : bool
        Of `vsepp`: whether only the hardest other counts.
    margin, weight : float
        Of that loss, and its weight in the sum.
    aux : bool
        Whether the labels are also learned from the text alone, with `aux_weight`.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "sgd"
    lr: float = Field(default=0.01, gt=0)
    batch: int = Field(default=64, ge=1)
    epochs: int = Field(default=30, ge=1)
    clip: float = Field(default=2.0, gt=0)
    width: Width = 512
    words_width: Width = 512
    joint_width: Width = 512
    hidden: tuple[Width, ...] = (256,)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    loss: Literal["cosine", "vsepp"] = "cosine"
    hardest: bool = False
    margin: float = Field(default=0.2, ge=0)
    weight: float = Field(default=1.0, ge=0)
    aux: bool = True
    aux_weight: float = Field(default=0.5, ge=0)
