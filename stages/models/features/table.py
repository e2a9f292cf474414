"""Joined features that stay in their memory-mapped matrices until rows are asked for; training may drop inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.models.features.layout import MASKS, Block, Input, Layout, join_inputs, layout_columns, split_inputs
from stages.models.heads.model import Array, Features, blocks_of, training_batch
from store import Matrix
from store.errors import InputError

Needs = Mapping[int, tuple[str, ...]]
"""What a fusion reads beside the vectors: position of the input (-1 the last) to arrays, of which one must be there."""


def layout_of(matrices: Sequence[Matrix], needs: Needs, fusion: str) -> Layout:
    """Return how the inputs that a fusion reads stand side by side.

    Raises
    ------
    InputError
        When a matrix lacks what the fusion reads of it.
    """
    wanted = {position % len(matrices): names for position, names in needs.items()}
    return tuple(_block(matrix, wanted.get(number, ()), fusion) for number, matrix in enumerate(matrices))


def _block(matrix: Matrix, names: tuple[str, ...], fusion: str) -> Block:
    if not names:
        return Block(matrix.dim)
    name = next((each for each in names if each in matrix.arrays), None)
    if name is None:
        raise InputError(
            f"fusion {fusion}: expected {' or '.join(names)} beside the vectors of {matrix.path}; found "
            f"{sorted(matrix.arrays) or 'none'}; give its entry of `embed` `{names[0]}: true`, or take another fusion."
        )
    kept = [name, MASKS[name]] if name in MASKS else [name]
    return Block(matrix.dim, {each: matrix.arrays[each][0] for each in kept})


def gather(matrices: Sequence[Matrix], rows: NDArray[np.int64], layout: Layout) -> Array:
    """Return the joined features of some rows.

    Parameters
    ----------
    matrices : sequence of Matrix
        M dataset-aligned matrices.
    rows : ndarray of int64, [n]
        Manifest rows.
    layout : Layout
        One block for each matrix.

    Returns
    -------
    ndarray of float32, [n, columns]
        The blocks in order, then for each block 1.0 where the row has it and 0.0 where it carries the missing vector
        and arrays of zeros.
    """
    parts = (read_input(matrix, rows, block.arrays) for matrix, block in zip(matrices, layout, strict=True))
    return join_inputs(parts, layout, len(rows))


def read_input(matrix: Matrix, rows: NDArray[np.int64], names: Iterable[str]) -> Input:
    """Read some rows [n] of a matrix, with those of its arrays that are named."""
    arrays = {name: matrix.read_array(name, rows) for name in names}
    return Input(matrix.rows(rows), arrays, matrix.usable[rows])


def absent_input(matrix: Matrix, count: int) -> Input:
    """Return `count` rows of items that lack an input: its missing vector, and arrays of zeros."""
    arrays = {name: np.zeros((count, *shape), dtype) for name, (shape, dtype) in matrix.arrays.items()}
    return Input(np.repeat(matrix.missing_vector[None, :], count, axis=0), arrays, np.zeros(count, np.bool_))


def missing_row(matrices: Sequence[Matrix], layout: Layout) -> Array:
    """Return the joined features [columns] of an item that has none of the inputs."""
    (row,) = join_inputs((absent_input(each, 1) for each in matrices), layout, 1)
    return np.asarray(row)


class FeatureTable:
    """The joined features of some manifest rows, read when they are asked for.

    Parameters
    ----------
    matrices : sequence of Matrix
    rows : ndarray of int64, [n]
        Manifest rows; row i of the table is manifest row `rows[i]`.
    layout : Layout
    """

    def __init__(self, matrices: Sequence[Matrix], rows: NDArray[np.int64], layout: Layout) -> None:
        self.matrices, self.rows, self.layout = matrices, rows, layout
        self.shape = (len(rows), layout_columns(layout))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> Array:
        return gather(self.matrices, self.rows[rows], self.layout)

    @property
    def missing(self) -> Array:
        """The row [columns] of an item that has none of the inputs."""
        return missing_row(self.matrices, self.layout)


class MappedTable:
    """Another table behind a function of its rows, such as a scaler's `transform`.

    Parameters
    ----------
    table : Features
        [n, columns].
    function : callable
        Rows [m, columns] to rows [m, width], each by itself.
    width : int
        Columns of what the function gives.
    """

    def __init__(self, table: Features, function: Callable[[Array], Array], width: int) -> None:
        self.table, self.function = table, function
        self.shape = (len(table), width)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Array:
        return self.function(self.table[rows])

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Return the function of rows as they are in training."""
        return self.function(training_batch(self.table, rows, rng))


class DroppingTable:
    """A table whose rows lose inputs when they are read for training, and only then.

    Parameters
    ----------
    table : Features
        Joined features [n, columns].
    layout : Layout
    missing : ndarray, [columns]
        A row without any input: what stands in for one that is taken away.
    share : float
        The probability with which each input that a row has is taken away.
    """

    def __init__(self, table: Features, layout: Layout, missing: Array, share: float) -> None:
        self.table, self.layout, self.missing, self.share = table, layout, missing, share
        self.shape = table.shape

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Array:
        return self.table[rows]

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Return rows [m, columns] of which each kept at least one of its inputs."""
        x = np.array(training_batch(self.table, rows, rng))
        present = x[:, -len(self.layout) :] > 0
        dropped = _dropped(present, self.share, rng)
        start = 0
        for number, block in enumerate(self.layout):
            stop = start + block.columns
            x[dropped[:, number], start:stop] = self.missing[start:stop]
            start = stop
        x[:, -len(self.layout) :][dropped] = 0
        return x


def _dropped(present: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose what is taken away of inputs [n, M]; a row that would lose all keeps one of them, each as likely."""
    dropped: NDArray[np.bool_] = present & (rng.random(present.shape) < share)
    kept = np.where(present, rng.random(present.shape), -1.0).argmax(axis=1)
    bare = np.flatnonzero((dropped == present).all(axis=1))
    dropped[bare, kept[bare]] = False
    return dropped


def input_widths(columns: int, layout: Layout | None) -> list[int]:
    """Return the width of each matrix; without a layout all `columns` are one matrix."""
    return [columns] if layout is None else [block.width for block in layout]


def vectors_of(x: Array, layout: Layout | None) -> Array:
    """Return the vectors of joined features [n, columns] side by side, without the presence columns."""
    return np.concatenate([part.vector for part in split_inputs(x, layout)], axis=1)


def stacked(x: Features, layout: Layout | None) -> Array:
    """Return the vectors of all rows, float32 [n, sum of widths], read block by block."""
    found = np.empty((len(x), sum(input_widths(x.shape[1], layout))), dtype=np.float32)
    start = 0
    for block in blocks_of(x):
        found[start : start + len(block)] = vectors_of(block, layout)
        start += len(block)
    return found
