"""How inputs stand side by side in one 2-D array, how a fusion takes them apart, and where it shows vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from store.errors import RunError

MASKS: Mapping[str, str] = {"tokens": "token_mask", "regions": "region_mask"}
"""Arrays that come with a mask of their valid rows."""


@dataclass(frozen=True)
class Block:
    """The columns of one input: its vector, then each array beside it, row by row.

    Attributes
    ----------
    width : int
        D of the vector.
    arrays : mapping of str to tuple of int
        Shape of one row's array by name: tokens [T, D], token_mask [T], map [C, H, W], regions [R, D], region_mask [R].
    """

    width: int
    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        """How many columns the input takes."""
        return self.width + sum(math.prod(shape) for shape in self.arrays.values())

    def as_json(self) -> Any:
        """Return what `as_layout` reads: the width, or the width and names with shapes.

        These are a list, as columns follow their order and a writer of JSON may sort the keys of an object.
        """
        return [self.width, [[name, list(shape)] for name, shape in self.arrays.items()]] if self.arrays else self.width


Layout = tuple[Block, ...]


@dataclass(frozen=True)
class Input:
    """One input of n rows, numpy or torch.

    Attributes
    ----------
    vector : array, [n, D]
    arrays : mapping of str to array, [n, ...]
        Masks hold 1.0 and 0.0.
    present : array, [n]
        1.0 where the row has this input.
    """

    vector: Any
    arrays: Mapping[str, Any]
    present: Any


def as_layout(given: Sequence[Any]) -> Layout:
    """Return a layout from blocks, from widths of plain vectors, or from what `Block.as_json` gave."""
    return tuple(_as_block(each) for each in given)


def _as_block(given: Any) -> Block:
    if isinstance(given, Block):
        return given
    if isinstance(given, Sequence):
        width, arrays = given
        return Block(int(width), {name: tuple(shape) for name, shape in arrays})
    return Block(int(given))


def layout_columns(layout: Layout) -> int:
    """Return how many columns joined features of this layout have: the blocks, then one presence column each."""
    return sum(block.columns for block in layout) + len(layout)


def split_inputs(x: Any, layout: Layout | None) -> list[Input]:
    """Cut joined features, numpy or torch [n, columns], into their inputs; views, not copies.

    Parameters
    ----------
    layout : Layout, optional
        None takes all columns for the vector of a single input that every row has, as scikit-learn's arrays are.

    Raises
    ------
    RunError
        When the array has another number of columns than the layout.
    """
    if layout is None:
        return [Input(x, {}, x[:, 0] * 0 + 1)]
    expected = layout_columns(layout)
    if x.shape[1] != expected:
        widths = [block.columns for block in layout]
        raise RunError(f"fusion: expected {expected} columns for blocks of {widths}; found {x.shape[1]}.")
    parts, start = [], 0
    for number, block in enumerate(layout):
        present = x[:, number - len(layout)]
        parts.append(_cut(x[:, start : start + block.columns], block, present))
        start += block.columns
    return parts


def _cut(x: Any, block: Block, present: Any) -> Input:
    arrays, start = {}, block.width
    for name, shape in block.arrays.items():
        stop = start + math.prod(shape)
        arrays[name] = x[:, start:stop].reshape(len(x), *shape)
        start = stop
    return Input(x[:, : block.width], arrays, present)


def join_inputs(parts: Iterable[Input], layout: Layout, count: int) -> NDArray[np.float32]:
    """Lay inputs side by side, as `split_inputs` takes them apart.

    Parameters
    ----------
    parts : iterable of Input
        One for each block, of `count` rows; of its arrays those that the block names are taken.

    Returns
    -------
    ndarray of float32, [count, columns]
        The blocks in order, then a presence column for each.
    """
    joined = np.empty((count, layout_columns(layout)), dtype=np.float32)
    start = 0
    for number, (part, block) in enumerate(zip(parts, layout, strict=True)):
        for each in (part.vector, *(part.arrays[name] for name in block.arrays)):
            flat = each.reshape(count, math.prod(each.shape[1:]))
            joined[:, start : start + flat.shape[1]] = flat
            start += flat.shape[1]
        joined[:, number - len(layout)] = part.present
    return joined


def split_blocks(x: Any, layout: Sequence[Any]) -> tuple[list[Any], Any]:
    """Cut joined features (numpy or torch, [n, columns]) into vectors [n, D_m] and presence [n, M].

    Raises
    ------
    RunError
        When the width is not that of the layout.
    """
    parts = split_inputs(x, as_layout(layout))
    return [part.vector for part in parts], x[:, x.shape[1] - len(parts) :]


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
