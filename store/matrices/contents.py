"""What a matrix is made of, whatever its format: header, blocks, content; `writing` and the two formats build on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidVectors, UnsupportedFormat
from store.items.vectors import Rows, VectorType
from store.matrices.arrays import MappedVectors, MatrixArray
from store.trust.verified import FileStamp

FORMAT_VERSION = 2
# 8192 rows: a few MB, large enough to stream and small enough to hold; also the rows under one digest.
BLOCK_ROWS = 8192
# Set by the writer; a caller's attribute may not take these names.
RESERVED = ("format_version", "min_reader", "rows", "dim", "dtype", "digest", "block_digests", "arrays", "complete")


@dataclass(frozen=True, eq=False)
class MatrixHeader:
    """What is known of a matrix before its first row.

    Attributes
    ----------
    ids : sequence of str
        One for each row, all different.
    dim : int
    dtype : {"float16", "float32", "uint8"}
    missing_vector : ndarray, shape [dim]
        What a row that is absent or failed carries.
    attributes : mapping
        Plain JSON data of the caller (fingerprint, manifest digest, ...).
    arrays : sequence of MatrixArray
        What else each row has; every block brings them all.
    """

    ids: Sequence[str]
    dim: int
    dtype: VectorType
    missing_vector: Rows
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Sequence[MatrixArray] = ()

    @property
    def version(self) -> int:
        """The oldest format that can say this, so that who knows only that one still reads it."""
        return 2 if self.arrays or self.dtype == "uint8" else 1


@dataclass(frozen=True, eq=False)
class MatrixBlock:
    """Some consecutive rows.

    Attributes
    ----------
    vectors : ndarray of the header's dtype, shape [n, dim]
        What stands in rows that are not both present and ok does not matter.
    present : ndarray of bool, shape [n]
        Whether the item has this kind of content at all.
    ok : ndarray of bool, shape [n]
        Whether its vector could be computed.
    arrays : mapping of str to ndarray, each of shape [n, ...]
        Those of the header, all of them; rows that are not both present and ok do not matter here either.
    """

    vectors: Rows
    present: NDArray[np.bool_]
    ok: NDArray[np.bool_]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class MatrixInfo:
    """The short description of a written matrix; `digest` is the same in every format."""

    rows: int
    dim: int
    dtype: VectorType
    digest: str


@dataclass(frozen=True, eq=False)
class Ids:
    """The ids as two arrays that any tool reads: all UTF-8 bytes, and where each id begins.

    Attributes
    ----------
    utf8 : ndarray of uint8, shape [total]
    offsets : ndarray of int64, shape [N + 1]
    """

    utf8: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def encode(cls, ids: Sequence[str]) -> Ids:
        """Encode ids.

        Raises
        ------
        InvalidVectors
            When one is not a str, has no UTF-8 form or is given twice.
        """
        encoded = []
        for position, name in enumerate(ids):
            try:
                encoded.append(name.encode("utf-8"))
            except (UnicodeEncodeError, AttributeError) as error:
                raise InvalidVectors(
                    f"expected ids that are text, found {name!r} at row {position}; correct the manifest"
                ) from error
        if len(set(encoded)) < len(encoded):
            raise InvalidVectors(f"expected different ids, found {_repeated(ids)!r} twice; correct the manifest")
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def check(self) -> None:
        """Make sure, without making a str of each, that `decode` will succeed.

        Raises
        ------
        ValueError
            When the two arrays do not fit together or are not UTF-8.
        """
        starts, ends = self.offsets[:-1], self.offsets[1:]
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.utf8) or (starts > ends).any():
            raise ValueError("expected ascending offsets of ids, found others")
        if not self.utf8.size or self.utf8.max() < 0x80:
            return
        self.utf8.tobytes().decode("utf-8")
        firsts = self.utf8[starts[starts < ends]]
        if ((firsts & 0xC0) == 0x80).any():
            raise ValueError("expected ids of whole characters, found one that begins within one")

    def decode(self) -> list[str]:
        """Decode all ids, which `check` has seen."""
        text, ends = self.utf8.tobytes(), self.offsets.tolist()
        return [text[start:stop].decode("utf-8") for start, stop in itertools.pairwise(ends)]


def _repeated(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that a matrix file holds, as its format gives it to the reader.

    Attributes
    ----------
    vectors : MappedVectors
    ids : Ids
    present, ok : ndarray of bool, shape [N]
    missing_vector : ndarray, shape [dim]
    attributes : dict
    stamp : FileStamp
        Of the file that was opened.
    arrays : mapping of str to MappedVectors
        What lies beside the vectors.
    """

    vectors: MappedVectors
    ids: Ids
    present: NDArray[np.bool_]
    ok: NDArray[np.bool_]
    missing_vector: Rows
    attributes: dict[str, Any]
    stamp: FileStamp
    arrays: Mapping[str, MappedVectors] = field(default_factory=dict)


def little_endian(dtype: str) -> np.dtype[Any]:
    """Give the dtype as it lies in files."""
    return np.dtype(dtype).newbyteorder("<")


def path_format(path: Path) -> Literal["zarr.zip", "h5"]:
    """Tell a matrix's format from its name.

    Raises
    ------
    ValueError
        When the name ends otherwise.
    """
    if path.name.endswith(".zarr.zip"):
        return "zarr.zip"
    if path.name.endswith(".h5"):
        return "h5"
    raise ValueError(f"expected a matrix named *.zarr.zip or *.h5, found {path.name!r}; rename it")


def check_version(needed: object) -> None:
    """Look at a file's `min_reader` before its structure, which a newer version may have changed.

    Raises
    ------
    UnsupportedFormat
        When it is newer than this version.
    ValueError
        When it is not a number.
    """
    if type(needed) is not int:
        raise ValueError("expected the attribute min_reader, found none")
    if needed > FORMAT_VERSION:
        raise UnsupportedFormat(f"expected format version {FORMAT_VERSION} or older, found {needed}; upgrade diptych")
