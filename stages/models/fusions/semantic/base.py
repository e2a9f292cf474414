"""The options of `vse`, and its training on arrays for others; docs/systems/fusions.md#visual-semantic-base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.models.catalog import Width
from stages.models.features.layout import Block, Layout, layout_columns
from stages.models.fusions.row import network_of_task
from stages.models.heads.model import Array, LabelledRows, Problem
from stages.models.heads.options import NetworkOptions
from stages.models.training.epochs import UNWATCHED, Epoch, Watch


class VseOptions(NetworkOptions):
    """Sizes and losses of docs/systems/fusions.md#vse, trained by SGD with momentum.

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


def _vse() -> Any:
    from stages.models.fusions.semantic.vse import VseFusion  # torch

    return VseFusion


# Not beside the rows of its family: `fit` trains a `vse` as well, and must not rerun when another of them changes.
build_vse = network_of_task(_vse)


class PairTable:
    """Texts and pictures of n rows as the joined features that `vse` reads, gathered when they are asked for.

    Parameters
    ----------
    tokens : array, [n, T, D]
        Word states; a memory-mapped array stays where it is.
    token_mask : array of bool, [n, T]
        Without a true value the row has no text.
    images : array, [n, D_v]
    present : ndarray of bool, [n], optional
        Rows that have a picture; None: all.
    """

    def __init__(self, tokens: Any, token_mask: Any, images: Any, present: NDArray[np.bool_] | None = None) -> None:
        self.tokens, self.token_mask, self.images = tokens, token_mask, images
        self.present = np.ones(len(images), dtype=bool) if present is None else present
        self.shape = (len(images), layout_columns(self.layout))

    @property
    def layout(self) -> Layout:
        """The text, whose vector has no column, and the picture."""
        arrays = {"tokens": self.tokens.shape[1:], "token_mask": self.token_mask.shape[1:]}
        return Block(0, arrays), Block(self.images.shape[1])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> Array:
        mask, present = np.asarray(self.token_mask[rows], dtype=bool), np.asarray(self.present[rows])
        tokens = np.asarray(self.tokens[rows]).reshape(len(mask), self.layout[0].columns - mask.shape[1])
        shown = np.stack([mask.any(axis=1), present], axis=1)
        return np.concatenate([tokens, mask, self.images[rows], shown], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class VisualBase:
    """The projection of pictures into the common space: `e_v = v @ weight.T + bias`.

    Attributes
    ----------
    weight : ndarray of float32, [d, D_v]
    bias : ndarray of float32, [d]
    history : sequence of Epoch
        The learning curve of the base.
    """

    weight: Array
    bias: Array
    history: Sequence[Epoch]


def fit_visual_base(
    layout: Layout,
    rows: tuple[LabelledRows, LabelledRows],
    options: VseOptions,
    problem: Problem,
    watch: Watch = UNWATCHED,
) -> VisualBase:
    """Train a `vse` and return its W_v and b_v.

    Parameters
    ----------
    layout : Layout
        Text and picture, as `PairTable.layout` says.
    rows : (Rows, Rows)
        Train rows, and dev rows for early stopping (maybe none).
    options : VseOptions
    problem : Problem
        Task, number of outputs, seed and device.
    watch : Watch

    Raises
    ------
    RunError
        When the training diverged.
    """
    model = build_vse(layout, options, problem)
    model.fit(*rows, watch)
    learned = model.fitted_.state_dict()
    weight, bias = (learned[f"vse.visual.{name}"].cpu().numpy().copy() for name in ("weight", "bias"))
    return VisualBase(weight, bias, model.history)
