"""What a lookup needs of one segment, 24 bytes a row: half of each key and the digest of its vector.

Half a key (16 bytes) is enough to find a row; `encoder_log` compares whole keys when it reads the vector.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

BYTES_PER_ROW = 24
_MAGIC = b"diptych/keys/1\n"
_CHECKSUM = struct.Struct("<I")

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class KeyTable:
    """The rows of a segment, in its order.

    Attributes
    ----------
    high, low : ndarray of uint64, shape [N]
        The first 16 bytes of each key as two big-endian numbers; ascending as pairs.
    digest : ndarray of uint64, shape [N]
        The row digest as a big-endian number: of two rows for one key the smaller wins.
    """

    high: Words
    low: Words
    digest: Words

    def __len__(self) -> int:
        return len(self.high)

    @classmethod
    def of(cls, keys: NDArray[np.uint8], row_digests: NDArray[np.uint8]) -> KeyTable:
        """Make the table of a segment's keys ([N, 32], ascending) and row digests ([N, 8])."""
        high, low = key_words(keys)
        digest = np.ascontiguousarray(row_digests).view(">u8").reshape(len(high)).astype(np.uint64)
        return cls(high, low, digest)

    def to_bytes(self, name: str) -> bytes:
        """Write the table of the segment `name`, with a checksum over both."""
        columns = b"".join(column.astype("<u8").tobytes() for column in (self.high, self.low, self.digest))
        content = _MAGIC + name.encode() + b"\n" + columns
        return content + _CHECKSUM.pack(google_crc32c.value(content))

    @classmethod
    def from_bytes(cls, data: bytes, name: str, rows: int) -> KeyTable:
        """Read what `to_bytes` wrote for that segment.

        Raises
        ------
        ValueError
            When it is damaged, or the table of another segment.
        """
        head = _MAGIC + name.encode() + b"\n"
        if len(data) != len(head) + rows * BYTES_PER_ROW + _CHECKSUM.size or not data.startswith(head):
            raise ValueError(f"expected the keys of {rows} rows of {name}, found something else")
        if _CHECKSUM.unpack(data[-_CHECKSUM.size :])[0] != google_crc32c.value(data[: -_CHECKSUM.size]):
            raise ValueError(f"expected the keys of {name} to match their checksum, found others")
        columns = np.frombuffer(data, dtype="<u8", count=3 * rows, offset=len(head)).reshape(3, rows)
        return cls(*(column.astype(np.uint64, copy=False) for column in columns))


def key_words(keys: NDArray[np.uint8]) -> tuple[Words, Words]:
    """Give the first 16 bytes of keys (uint8, [N, 32]) as two columns of numbers that sort like the bytes."""
    words = np.ascontiguousarray(keys).view(">u8").reshape(len(keys), keys.shape[1] // 8)
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)
