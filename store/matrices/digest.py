"""The digest of a matrix's content: equal for equal rows, in either format, however they were streamed.

Each block of 8192 rows has its own digest, so that a file can be checked in a stream and a damaged block named; so has
each block of an array beside the vectors, so that it can be checked when it is first read, and not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.files.plain_json import canonical_json
from store.items.vectors import Rows
from store.matrices.contents import BLOCK_ROWS, Ids, MatrixBlock, little_endian

_SCHEMA = "diptych/matrix/1"
_SCHEMA_WITH_ARRAYS = "diptych/matrix/2"
_COLUMNS = ("id lengths", "ids", "present", "ok", "vectors")


class MatrixDigest:
    """Takes rows in order and gives the digests of blocks and whole.

    Parameters
    ----------
    ids : Ids
    missing_vector : ndarray, shape [D]
    dtype : str
    """

    def __init__(self, ids: Ids, missing_vector: Rows, dtype: str) -> None:
        self._ids = ids
        self._dtype = little_endian(dtype)
        self._missing = missing_vector.astype(self._dtype).tobytes()
        self._dim = len(missing_vector)
        self._rows = 0
        self._blocks: list[str] = []
        self._hashers = _hashers()

    def update(self, block: MatrixBlock) -> None:
        """Take the next rows; cutting them otherwise gives the same digests."""
        done, total = 0, len(block.present)
        while done < total:
            n = min(total - done, BLOCK_ROWS - self._rows % BLOCK_ROWS)
            self._update_within_block(block, slice(done, done + n))
            done += n
            if self._rows % BLOCK_ROWS == 0:
                self._close_block()

    def _update_within_block(self, block: MatrixBlock, part: slice) -> None:
        n = part.stop - part.start
        offsets = self._ids.offsets[self._rows : self._rows + n + 1]
        columns: tuple[NDArray[Any], ...] = (
            np.diff(offsets).astype("<i8"),
            self._ids.utf8[offsets[0] : offsets[-1]],
            block.present[part].astype(np.uint8),
            block.ok[part].astype(np.uint8),
            np.ascontiguousarray(block.vectors[part], dtype=self._dtype),
        )
        # One hasher for each column: rows arriving in other portions still give each of them the same bytes.
        for hasher, column in zip(self._hashers, columns, strict=True):
            hasher.update(column.data if column.size else b"")
        self._rows += n

    def _close_block(self) -> None:
        joined = b"".join(hasher.digest() for hasher in self._hashers)
        self._blocks.append(hashlib.sha256(joined).hexdigest())
        self._hashers = _hashers()

    def finish(self, arrays: Mapping[str, Any] | None = None) -> tuple[str, list[str]]:
        """Close the last block.

        Parameters
        ----------
        arrays : mapping, optional
            The attribute `arrays`, digests of blocks included: through them the whole digest vouches for these too.

        Returns
        -------
        digest : str
            64 hexadecimal digits, of ids, masks, vectors, missing vector and what `arrays` states.
        block_digests : list of str
            One for each 8192 rows begun.
        """
        if self._rows % BLOCK_ROWS:
            self._close_block()
        shape: dict[str, Any] = {"schema": _SCHEMA, "rows": self._rows, "dim": self._dim, "dtype": self._dtype.name}
        if arrays:
            shape |= {"schema": _SCHEMA_WITH_ARRAYS, "arrays": dict(arrays)}
        whole = hashlib.sha256(canonical_json(shape))
        whole.update(self._missing)
        for block in self._blocks:
            whole.update(bytes.fromhex(block))
        return whole.hexdigest(), self._blocks


class ArrayDigest:
    """Takes the rows of one array in order and gives the digest of each block: SHA-256 of its little-endian bytes."""

    def __init__(self) -> None:
        self._rows = 0
        self._blocks: list[str] = []
        self._hasher = hashlib.sha256()

    def update(self, values: NDArray[Any]) -> None:
        """Take the next rows [n, ...]; cutting them otherwise gives the same digests."""
        done, total = 0, len(values)
        while done < total:
            n = min(total - done, BLOCK_ROWS - self._rows % BLOCK_ROWS)
            rows = np.ascontiguousarray(values[done : done + n], dtype=values.dtype.newbyteorder("<"))
            self._hasher.update(rows.reshape(-1).view(np.uint8).data)
            done, self._rows = done + n, self._rows + n
            if self._rows % BLOCK_ROWS == 0:
                self._close_block()

    def _close_block(self) -> None:
        self._blocks.append(self._hasher.hexdigest())
        self._hasher = hashlib.sha256()

    def finish(self) -> list[str]:
        """Close the last block and give the digests, one for each 8192 rows begun."""
        if self._rows % BLOCK_ROWS:
            self._close_block()
        return self._blocks


def check_blocks(found: list[str], stated: object) -> None:
    """Compare the digests of blocks.

    Raises
    ------
    ValueError
        Naming the first block that differs.
    """
    if found != stated:
        pairs = enumerate(zip(found, stated, strict=False)) if isinstance(stated, list) else ()
        wrong = next((number for number, pair in pairs if pair[0] != pair[1]), 0)
        raise ValueError(f"rows {wrong * BLOCK_ROWS} and following do not match their digest")


def _hashers() -> list[hashlib._Hash]:
    return [hashlib.sha256() for _ in _COLUMNS]
