"""A small matrix with every kind of array beside its vectors, and what must be read from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from store import MatrixArray, MatrixBlock, MatrixHeader, MatrixInfo, write_matrix

N, DIM = 50, 5
ARRAYS = (
    MatrixArray("tokens", (4, 3), "float16"),
    MatrixArray("token_mask", (4,), "bool"),
    MatrixArray("map", (2, 3, 3), "float32"),
    MatrixArray("regions", (6, 2), "uint8"),
    MatrixArray("region_mask", (6,), "bool"),
)


def make(
    n: int = N, arrays: Sequence[MatrixArray] = ARRAYS, dtype: str = "float16"
) -> tuple[MatrixHeader, MatrixBlock, dict[str, np.ndarray]]:
    """Give a header, one block of all rows with rubbish in the unusable ones, and the rows that must be read."""
    generator = np.random.default_rng(n)
    present, ok = generator.random(n) > 0.2, generator.random(n) > 0.2
    usable = present & ok
    given = {"vectors": _random(generator, (n, DIM), dtype)}
    given |= {each.name: _random(generator, (n, *each.shape), each.dtype) for each in arrays}
    for values in given.values():
        values[~usable] = np.nan if values.dtype.kind == "f" else 1
    missing = np.arange(DIM)
    expected = {name: values.copy() for name, values in given.items()}
    for name, values in expected.items():
        values[~usable] = missing if name == "vectors" else 0
    header = MatrixHeader([f"item-{i}" for i in range(n)], DIM, dtype, missing, {"note": "x"}, tuple(arrays))
    return header, MatrixBlock(given.pop("vectors"), present, ok, given), expected


def _random(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "bool":
        return generator.random(shape) > 0.5
    if dtype == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape).astype(dtype)


def cut(block: MatrixBlock, sizes: Sequence[int]) -> list[MatrixBlock]:
    """Cut a block into several."""
    stops = np.cumsum(sizes)
    parts = [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    return [
        MatrixBlock(
            block.vectors[part],
            block.present[part],
            block.ok[part],
            {name: values[part] for name, values in block.arrays.items()},
        )
        for part in parts
    ]


def write(path: Path, header: MatrixHeader, blocks: Sequence[MatrixBlock], **options: Any) -> MatrixInfo:
    return write_matrix(path, header, blocks, durability="none", **options)
