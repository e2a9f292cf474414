"""Which metadata of a Zarr array is allowed when others packed it, and what one of its chunks may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.caps import check_deflated, check_zstd, worst_packed
from store.zarr_documents import CHECKSUM_BYTES, array_document

_TYPES = ("bool", "uint8", "int64", "float16", "float32")
_FILLS = (0, "NaN")
_LARGEST = 1 << 48
_MOST_DIMENSIONS = 4  # a map of each item
_GZIP = 31


@dataclass(frozen=True)
class ArrayLayout:
    """A checked description.

    Attributes
    ----------
    shape, chunks : tuple of int
    dtype : str
    codecs : tuple of str
        After the first, which only writes numbers as bytes.
    document : dict
        The whole of it, for zarr.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    codecs: tuple[str, ...]
    document: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        return tuple(-(-length // size) for length, size in zip(self.shape, self.chunks, strict=True))

    @property
    def count(self) -> int:
        """Number of all chunks."""
        return math.prod(self.grid)

    @property
    def chunk_bytes(self) -> int:
        """Size of one chunk unpacked; the last one is padded to it."""
        return math.prod(self.chunks) * np.dtype(self.dtype).itemsize

    @property
    def most_packed_bytes(self) -> int:
        """Give what no honest chunk exceeds."""
        return worst_packed(self.chunk_bytes + CHECKSUM_BYTES) + CHECKSUM_BYTES

    def check_packed(self, data: bytes) -> None:
        """Refuse a chunk that would unpack to another size than its own.

        Raises
        ------
        ValueError
            Saying what it would become.
        """
        size, codecs = self.chunk_bytes, list(self.codecs)
        if codecs and codecs[0] == "crc32c":
            size += CHECKSUM_BYTES
            codecs.pop(0)
        if codecs and codecs[-1] == "crc32c":
            data = data[:-CHECKSUM_BYTES]
            codecs.pop()
        if codecs == ["gzip"]:
            check_deflated(data, size, _GZIP)
        elif codecs == ["zstd"]:
            check_zstd(data, size)
        elif len(data) != size:
            raise ValueError(f"expected a chunk of {size} bytes, found {len(data)}")


def array_layout(document: dict[str, Any]) -> ArrayLayout:
    """Read the metadata of one array against an exact list of what is allowed.

    Raises
    ------
    ValueError
        When it holds anything else: another codec, sharding, another grid, a storage transformer.
    """
    try:
        shape = _sizes(document["shape"], 0)
        chunks = _sizes(document["chunk_grid"]["configuration"]["chunk_shape"], 1)
        dtype, fill = document["data_type"], document["fill_value"]
        codecs = _codecs(document["codecs"], dtype)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"expected the metadata of a Zarr v3 array, found other ({error})") from error
    plain = dtype in _TYPES and fill in _FILLS and len(shape) == len(chunks) and 1 <= len(shape) <= _MOST_DIMENSIONS
    names = document.get("dimension_names", [])
    if not plain or (names and any(type(name) not in (str, type(None)) for name in names)):
        raise ValueError(f"expected a plain array of {' or '.join(_TYPES)}, found other metadata")
    known = array_document(shape, chunks, dtype) | {"fill_value": fill, "codecs": document["codecs"]}
    if known != {key: value for key, value in document.items() if key != "dimension_names"}:
        raise ValueError("expected a plain array in a regular grid of chunks, found other metadata")
    return ArrayLayout(shape, chunks, dtype, codecs, known)


def _sizes(values: Any, least: int) -> tuple[int, ...]:
    if type(values) is not list or not all(type(size) is int and least <= size < _LARGEST for size in values):
        raise ValueError("expected sizes as whole numbers, found others")
    return tuple(values)


def _codecs(codecs: Any, dtype: Any) -> tuple[str, ...]:
    if type(codecs) is not list or not 1 <= len(codecs) <= 3:
        raise ValueError("expected one to three codecs, found others")
    names = [_codec(codec, dtype) for codec in codecs]
    others = tuple(names[1:])
    repeated = len(set(others)) < len(others) or {"zstd", "gzip"} <= set(others)
    if names[0] != "bytes" or "bytes" in others or repeated:
        raise ValueError(f"expected the codecs bytes, then zstd or gzip, and crc32c, found {names}")
    return others


def _codec(codec: Any, dtype: Any) -> str:
    """Give a codec's name, having looked at its configuration."""
    name, configuration = codec["name"], codec.get("configuration", {})
    single = dtype in ("bool", "uint8")
    allowed = {
        "bytes": configuration == {"endian": "little"} or (single and not configuration),
        "crc32c": not configuration,
        "gzip": set(configuration) == {"level"} and type(configuration["level"]) is int,
        "zstd": set(configuration) == {"level", "checksum"}
        and type(configuration["level"]) is int
        and type(configuration["checksum"]) is bool,
    }
    if set(codec) - {"name", "configuration"} or not allowed.get(name, False):
        raise ValueError(f"expected the codecs bytes (little-endian), zstd, gzip or crc32c, found {str(codec)[:200]}")
    return str(name)
