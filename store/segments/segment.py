"""A segment: some vectors with their keys in one immutable file, named by its own digest.

`formats` knows the two formats; `features` publishes and lists the files.
"""

from __future__ import annotations

import errno
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from store.backends.protocol import Backend
from store.errors import CorruptSegment, InvalidVectors, StoreError, UnsupportedFormat
from store.files.plain_json import canonical_json, parse_document
from store.items.keys import KEY_BYTES, strictly_ascending
from store.items.vectors import Rows
from store.segments.formats import (
    MAX_ROWS,
    ROW_DIGEST_BYTES,
    RawSegment,
    build_hdf5,
    build_zarr,
    head_bytes,
    parse_hdf5,
    parse_head,
    parse_zarr,
)

SegmentFormat = Literal["zarr.zip", "h5"]

FORMAT_VERSION = 1
MAX_SEGMENT_BYTES = 64 * 1024 * 1024
MAX_PROVENANCE_BYTES = 32 * 1024
# Room for headers and attributes next to the rows themselves.
_OVERHEAD_BYTES = 2 * MAX_PROVENANCE_BYTES + 64 * 1024

_BUILD = {"zarr.zip": build_zarr, "h5": build_hdf5}
_PARSE = {"zarr.zip": parse_zarr, "h5": parse_hdf5}
_NAME = re.compile(r"(zarr\.zip|h5)-([1-9][0-9]{0,9})-([1-9][0-9]{0,9})-([0-9a-f]{64})\.(zarr\.zip|h5)", re.ASCII)


@dataclass(frozen=True)
class SegmentName:
    """What a segment's file name promises about its content."""

    format: SegmentFormat
    rows: int
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.format}-{self.rows}-{self.size}-{self.sha256}.{self.format}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """Read a file name; None when it is not that of a segment."""
        match = _NAME.fullmatch(name)
        if match is None or match[1] != match[5]:
            return None
        return cls(cast(SegmentFormat, match[1]), int(match[2]), int(match[3]), match[4])


@dataclass(frozen=True, eq=False)
class Segment:
    """The content of a segment.

    Attributes
    ----------
    keys : ndarray of uint8, shape [N, 32]
        Strictly ascending.
    vectors : ndarray of float16, float32 or uint8, shape [N, D]
    row_digests : ndarray of uint8, shape [N, 8]
        BLAKE2b of each row's little-endian bytes.
    provenance : dict
        How these rows were made: device, library versions, ...; never part of their identity.
    fingerprint : str
        Digest of the encoder's fingerprint.
    """

    keys: NDArray[np.uint8]
    vectors: Rows
    row_digests: NDArray[np.uint8]
    provenance: dict[str, Any]
    fingerprint: str


def row_digests(vectors: Rows) -> NDArray[np.uint8]:
    """Digest each row's little-endian bytes.

    Parameters
    ----------
    vectors : ndarray, shape [N, D]

    Returns
    -------
    ndarray of uint8, shape [N, 8]
    """
    little = np.ascontiguousarray(vectors, dtype=vectors.dtype.newbyteorder("<"))
    size = little.itemsize * little.shape[1]
    text, blake2b = little.reshape(-1).view(np.uint8).data, hashlib.blake2b
    starts = range(0, len(text), size)
    digests = b"".join([blake2b(text[at : at + size], digest_size=ROW_DIGEST_BYTES).digest() for at in starts])
    return np.frombuffer(digests, dtype=np.uint8).reshape(len(vectors), ROW_DIGEST_BYTES)


def rows_per_segment(dim: int, itemsize: int) -> int:
    """Count the rows that fit into one segment (at least one).

    Raises
    ------
    InvalidVectors
        When not even one row fits.
    """
    fit = (MAX_SEGMENT_BYTES - _OVERHEAD_BYTES) // (dim * itemsize + KEY_BYTES + ROW_DIGEST_BYTES)
    if fit < 1:
        raise InvalidVectors(f"expected a row of less than {MAX_SEGMENT_BYTES} bytes, found dimension {dim}; reduce it")
    return min(fit, MAX_ROWS)


def build_segment(format_: SegmentFormat, segment: Segment) -> tuple[str, bytes]:
    """Make a segment's file name and bytes; equal content gives equal bytes.

    Raises
    ------
    InvalidVectors
        When the provenance is too large, or the result is over `MAX_SEGMENT_BYTES`.
    TypeError
        When the provenance is not plain JSON data.
    """
    data = _BUILD[format_](_to_raw(segment))
    if len(data) > MAX_SEGMENT_BYTES:
        raise InvalidVectors(
            f"expected a segment of at most {MAX_SEGMENT_BYTES} bytes, found {len(data)}; append fewer rows at once"
        )
    name = SegmentName(format_, len(segment.keys), len(data), hashlib.sha256(data).hexdigest())
    return str(name), data


def _to_raw(segment: Segment) -> RawSegment:
    provenance = canonical_json(segment.provenance).decode()
    if len(provenance.encode()) > MAX_PROVENANCE_BYTES:
        raise InvalidVectors(
            f"expected at most {MAX_PROVENANCE_BYTES} bytes of provenance, found {len(provenance)}; record less"
        )
    attributes: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "min_reader": FORMAT_VERSION,
        "fingerprint": segment.fingerprint,
        "provenance": provenance,
    }
    return RawSegment(segment.keys, segment.vectors, segment.row_digests, attributes)


def read_segment(backend: Backend, folder: str, name: str) -> Segment:
    """Read a segment and check it against its name before any parser sees it.

    Parameters
    ----------
    backend : Backend
    folder : str
        Where the segments lie, below its root.
    name : str
        The file name.

    Raises
    ------
    CorruptSegment
        When the name, the size, the digest or the content is not right, or the file cannot be read.
    UnsupportedFormat
        When a newer version wrote it.
    FileNotFoundError
        When it is no longer there.
    StoreUnreachable, StoreNotReadable
        When the storage does not answer, or not to us.
    """
    promised = SegmentName.parse(name)
    if promised is None:
        raise CorruptSegment(f"expected the name of a segment, found {name[:200]!r}; move the file away")
    try:
        return decode_segment(promised, _read_promised(backend, f"{folder}/{name}", promised))
    except FileNotFoundError:
        raise
    except UnsupportedFormat as error:
        raise UnsupportedFormat(f"segment {name}: {error}") from error
    except StoreError:
        raise
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise FileNotFoundError(errno.ENOENT, "removed on another host", name) from error
        raise CorruptSegment(
            f"segment {name} cannot be read: {error}; look at the disk, or delete the file: its rows count as missing",
            unread=error.errno != errno.ELOOP,
        ) from error
    except ValueError as error:
        raise CorruptSegment(
            f"segment {name} is damaged: {error}; run `diptych store repair`, and its rows will be computed again"
        ) from error


def read_head(
    backend: Backend, folder: str, promised: SegmentName
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Read only keys and row digests, where the storage sends a part of a file for less than the whole.

    They are held against their own checksums, not against the name: whoever reads a vector checks the whole file.

    Returns
    -------
    keys : ndarray of uint8, shape [N, 32]
    row_digests : ndarray of uint8, shape [N, 8]
        None instead of both when the segment has to be read as a whole.

    Raises
    ------
    FileNotFoundError
        When it is no longer there.
    StoreUnreachable, StoreNotReadable
        When the storage does not answer, or not to us.
    """
    if promised.format != "zarr.zip" or promised.rows > MAX_ROWS:
        return None
    data = backend.read_start(f"{folder}/{promised}", head_bytes(promised.rows))
    if data is None:
        return None
    try:
        keys, digests = parse_head(data, promised.rows)
    except ValueError:
        return None  # reading all of it will say what is wrong
    return (keys, digests) if strictly_ascending(keys) else None


def _read_promised(backend: Backend, path: str, promised: SegmentName) -> bytes:
    if promised.size > MAX_SEGMENT_BYTES:
        raise ValueError(f"expected at most {MAX_SEGMENT_BYTES} bytes, found {promised.size} in the name")
    data = backend.read(path, promised.size)
    check_promise(promised, data)
    return data


def check_promise(promised: SegmentName, data: bytes) -> None:
    """Hold the bytes of a segment against its name.

    Raises
    ------
    ValueError
        When size or digest differ.
    """
    if len(data) != promised.size:
        raise ValueError(f"expected {promised.size} bytes, found {len(data)}")
    found = hashlib.sha256(data).hexdigest()
    if found != promised.sha256:
        raise ValueError(f"expected the SHA-256 of its name, found {found}")


def decode_segment(promised: SegmentName, data: bytes) -> Segment:
    """Parse bytes that match their name.

    Raises
    ------
    ValueError
        When they are not of our format.
    UnsupportedFormat
        When a newer version wrote them.
    """
    raw = _PARSE[promised.format](data, promised.rows)
    version, fingerprint = raw.attributes.get("min_reader"), raw.attributes.get("fingerprint")
    if type(version) is not int or not isinstance(fingerprint, str):
        raise ValueError("expected the attributes min_reader and fingerprint, found none that can be read")
    if version > FORMAT_VERSION:
        raise UnsupportedFormat(f"expected format version {FORMAT_VERSION} or older, found {version}; upgrade diptych")
    if not strictly_ascending(raw.keys):
        raise ValueError("expected keys in ascending order, each once, found others")
    text = str(raw.attributes.get("provenance", "{}")).encode()
    provenance = parse_document(text)
    if len(text) > MAX_PROVENANCE_BYTES or canonical_json(provenance) != text:
        raise ValueError("expected a short provenance as canonical JSON, found another")
    return Segment(raw.keys, raw.vectors, raw.row_digests, provenance, fingerprint)
