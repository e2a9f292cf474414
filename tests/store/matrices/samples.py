"""Small matrices for tests, with every kind of array beside the vectors, and zips of them written anew with changes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from store import MatrixArray, MatrixBlock, MatrixHeader, MatrixInfo, write_matrix
from store.files.plain_json import parse_document
from store.files.zarr_documents import document_bytes, zip_entry

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


Change = Callable[[dict[str, bytes]], object]


def rezip(path: Path, change: Change | None = None, compression: int = zipfile.ZIP_STORED) -> None:
    """Change the members by their names; chunks stay aligned, so that a file is refused for the change alone."""
    with zipfile.ZipFile(path) as archive:
        padding = {entry.filename: entry.extra for entry in archive.infolist()}
        members = {name: archive.read(name) for name in padding}
    if change is not None:
        change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            entry = zip_entry(name)
            entry.compress_type, entry.extra = compression, padding.get(name, b"")
            archive.writestr(entry, content)
    path.unlink()  # a new file of the same name: the old one may still be mapped
    path.write_bytes(file.getvalue())


def edit(name: str, **fields: object) -> Change:
    """Change fields of one document."""

    def change(members: dict[str, bytes]) -> None:
        members[name] = document_bytes(parse_document(members[name]) | fields)

    return change


def put(name: str, data: bytes) -> Change:
    """Put a member in place of another, or beside all."""
    return lambda members: members.update({name: data})
