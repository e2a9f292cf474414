"""What a file that others packed may ask of this machine: sizes are held against these before memory is given.

For the readers that unpack (`library_zarr`, `library_hdf5`): a few bytes may there claim to be terabytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO

MAX_DIM = 1 << 20
MAX_CHUNK_BYTES = 1 << 30
MAX_CHUNKS = 100_000
# Ids, offsets and masks are read whole.
_MAX_SMALL_BYTES = 1 << 31
# Ids differ from each other, so no honest compression comes near.
_MAX_ID_RATIO = 1000
_SPARE_ID_BYTES = 4096
_ROW_BYTES = 8 + 2  # an offset and two masks

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_BYTES = 20
_DIRECTORY_BYTES_OF_A_MEMBER = 256
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def check_sizes(rows: int, dim: int, id_bytes: int, stored_id_bytes: int) -> None:
    """Refuse sizes that no data set has.

    Parameters
    ----------
    id_bytes, stored_id_bytes : int
        Length of all ids, and of what they are unpacked from.

    Raises
    ------
    ValueError
        Naming the size.
    """
    if not 0 < dim <= MAX_DIM:
        raise ValueError(f"expected a dimension from 1 to {MAX_DIM}, found {dim}")
    if id_bytes > stored_id_bytes * _MAX_ID_RATIO + _SPARE_ID_BYTES:
        raise ValueError(f"expected ids packed at most {_MAX_ID_RATIO}:1, found {id_bytes} of {stored_id_bytes} bytes")
    if not 0 <= rows <= id_bytes + 1:  # different ids: only one may be empty
        raise ValueError(f"expected at most one row for each of {id_bytes} bytes of ids, found {rows}")
    if rows * _ROW_BYTES + id_bytes > _MAX_SMALL_BYTES:
        raise ValueError(f"expected ids and masks of at most {_MAX_SMALL_BYTES} bytes, found {rows} rows")


def check_chunks(chunk_bytes: int, chunks: int) -> None:
    """Refuse chunks that are too large or too many.

    Raises
    ------
    ValueError
        Naming what to do.
    """
    if chunk_bytes > MAX_CHUNK_BYTES or chunks > MAX_CHUNKS:
        raise ValueError(
            f"expected at most {MAX_CHUNKS} chunks of {MAX_CHUNK_BYTES} bytes, found {chunks} of {chunk_bytes}; "
            "pack it anew with other chunks"
        )


def worst_packed(size: int) -> int:
    """Give the most bytes that data of a size takes when no codec can compress it."""
    return size + size // 128 + 1024


def check_deflated(data: bytes, size: int, window: int) -> None:
    """Unpack a zlib (`window` 15) or gzip (31) stream as far as `size` bytes and refuse any other length.

    Raises
    ------
    ValueError
        When it is no such stream.
    """
    stream = zlib.decompressobj(window)
    try:
        found = len(stream.decompress(data, size + 1))
    except zlib.error as error:
        raise ValueError(f"expected a packed chunk, found one that cannot be unpacked ({error})") from error
    if found != size or not stream.eof or stream.unused_data:
        raise ValueError(f"expected a chunk of {size} bytes, found another length")


def check_zstd(data: bytes, size: int) -> None:
    """Hold the size that a Zstandard frame states, for which memory would be given, against the expected one.

    Raises
    ------
    ValueError
        When it states another or none.
    """
    if data[:4] != _ZSTD_MAGIC or len(data) < 6:
        raise ValueError("expected a Zstandard frame, found other bytes")
    flags = data[4]
    single = flags >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    width = (single, 2, 4, 8)[flags >> 6]
    stated = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    if not width or stated != size:
        raise ValueError(f"expected a frame of {size} bytes, found one that states {stated if width else 'no size'}")


def check_zip_directory(file: IO[bytes], most: int = MAX_CHUNKS) -> None:
    """Look at the end of a zip, before `zipfile` makes an object of each member.

    Raises
    ------
    ValueError
        When there is no end, a comment, or too many members.
    """
    file.seek(max(0, file.seek(0, 2) - _END.size - _LOCATOR_BYTES - _END_64.size))
    tail = file.read()
    if tail[-_END.size :][:4] != b"PK\x05\x06":
        raise ValueError("expected a whole zip without a comment, found no end of one")
    *_, members, size, _, _ = _END.unpack(tail[-_END.size :])
    # A large zip has a second end before its end; `zipfile` too looks for it there.
    if tail[_END_64.size :].startswith(b"PK\x06\x07") and tail.startswith(b"PK\x06\x06"):
        *_, members, size, _ = _END_64.unpack(tail[: _END_64.size])
    if members > most or size > most * _DIRECTORY_BYTES_OF_A_MEMBER:
        raise ValueError(f"expected at most {most} members, found {members} in a directory of {size} bytes")
