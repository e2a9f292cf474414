"""The digest of a matrix's content: equal for equal rows, in either format, however they were streamed.

Each block of 8192 rows has its own digest, so that a file can be checked in a stream and a damaged block named.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.matrix_parts import BLOCK_ROWS, Ids, MatrixBlock, little_endian
from store.plain_json import canonical_json

_SCHEMA = "diptych/matrix/1"
_COLUMNS = ("id lengths", "ids", "present", "ok", "vectors")


class MatrixDigest:
    """Takes rows in order and gives the digests of blocks and whole.

    Parameters
    ----------
    ids : Ids
    missing_vector : ndarray, shape [D]
    dtype : str
    """

    def __init__(self, ids: Ids, missing_vector: NDArray[np.floating[Any]], dtype: str) -> None:
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

    def finish(self) -> tuple[str, list[str]]:
        """Close the last block.

        Returns
        -------
        digest : str
            64 hexadecimal digits, of ids, masks, vectors and missing vector.
        block_digests : list of str
            One for each 8192 rows begun.
        """
        if self._rows % BLOCK_ROWS:
            self._close_block()
        shape = {"schema": _SCHEMA, "rows": self._rows, "dim": self._dim, "dtype": self._dtype.name}
        whole = hashlib.sha256(canonical_json(shape))
        whole.update(self._missing)
        for block in self._blocks:
            whole.update(bytes.fromhex(block))
        return whole.hexdigest(), self._blocks


def _hashers() -> list[hashlib._Hash]:
    return [hashlib.sha256() for _ in _COLUMNS]
