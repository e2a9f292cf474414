"""One encoder's vectors in a store: a growing set of segments that are found, read and appended to, never changed.

`feature_store` opens it; `segment` reads one file, `index` joins keys, `publish` writes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.encoder_record import EncoderRecord, compare_record, establish_record
from store.errors import CorruptSegment, StoreError
from store.fingerprint import Fingerprint
from store.index import Locations, locate
from store.key import sortable
from store.publish import Durability, probe_writable, publish
from store.rows import VectorType, check_keys, check_rows
from store.segment import (
    Segment,
    SegmentFormat,
    SegmentName,
    build_segment,
    read_segment,
    row_digests,
    rows_per_segment,
)

_LOG = logging.getLogger("diptych.store")
# Rows of neighbouring blocks often lie in the same one or two segments.
_KEPT_SEGMENTS = 2


class EncoderLog:
    """The vectors of one encoder; get one from `FeatureStore.open`.

    Attributes
    ----------
    folder : Path
        Where they lie; made by the first `append`.
    fingerprint : Fingerprint
    dim : int
    dtype : {"float16", "float32"}
    compared : bool
        Whether the folder's record was there and equal in full; False for a folder not yet made.
    """

    def __init__(
        self, folder: Path, record: EncoderRecord, segment_format: SegmentFormat, durability: Durability
    ) -> None:
        self.folder = folder
        self.fingerprint: Fingerprint = record.fingerprint
        self.dim = record.dim
        self.dtype: VectorType = record.dtype
        self._record = record
        self._format: SegmentFormat = segment_format
        self._durability: Durability = durability
        self._kept: dict[str, Segment] = {}
        self.compared = compare_record(folder, record)

    @property
    def segments_folder(self) -> Path:
        """The folder of the segment files."""
        return self.folder / "segments"

    def segments(self) -> list[str]:
        """List the names of all segments now there, sorted; foreign files are left out."""
        try:
            names = [path.name for path in self.segments_folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if SegmentName.parse(name) is not None)

    def probe_writable(self) -> None:
        """Check that `append` may write here, before the vectors are computed.

        Raises
        ------
        StoreNotWritable, StoreFull
            When it may not.
        """
        probe_writable(self.segments_folder)

    def locate(self, keys: NDArray[np.uint8]) -> Locations:
        """Look up keys, holding one segment at a time.

        A damaged segment is skipped with a warning and listed in `Locations.corrupt`: its rows count as missing.

        Parameters
        ----------
        keys : ndarray of uint8, shape [N, 32]

        Raises
        ------
        InvalidVectors
            When the keys are not of that form.
        FingerprintMismatch
            When the folder belongs to another encoder.
        """
        check_keys(keys)
        self._compare()
        corrupt: list[str] = []
        found = locate(keys, self._stream(corrupt))
        return Locations(found.segment, found.row, found.names, found.keys, tuple(sorted(corrupt)))

    def append(self, keys: NDArray[np.uint8], vectors: NDArray[np.floating[Any]], provenance: Mapping[str, Any]) -> str:
        """Store rows durably; when it returns, they survive a power cut.

        Parameters
        ----------
        keys : ndarray of uint8, shape [N, 32]
            Each once; N at least 1.
        vectors : ndarray of this log's dtype, shape [N, dim]
            C-contiguous, little-endian, finite, no row all zero.
        provenance : mapping
            How they were made, as plain JSON data; equal calls give equal files.

        Returns
        -------
        str
            Name of the segment (of the last one, when the rows fill several).

        Raises
        ------
        InvalidVectors
            When the rows may not be stored; nothing was written.
        FingerprintMismatch
            When the folder belongs to another encoder; nothing was written.
        StoreFull, StoreNotWritable
            When writing failed; what was stored before is intact.
        """
        check_rows(keys, vectors, self.dim, self.dtype)
        files = self._build(keys, vectors, provenance)
        name, data = next(files)
        establish_record(self.folder, self._record, self._durability)
        self.compared = True
        # `heal`: the name is the digest of these bytes, so whatever else lies under it is damaged.
        put = partial(publish, durability=self._durability, heal=True)
        put(self.segments_folder / name, data)
        for name, data in files:
            put(self.segments_folder / name, data)
        return name

    def _build(
        self, keys: NDArray[np.uint8], vectors: NDArray[np.floating[Any]], provenance: Mapping[str, Any]
    ) -> Iterator[tuple[str, bytes]]:
        order = np.argsort(sortable(keys), kind="stable")
        size = rows_per_segment(self.dim, vectors.dtype.itemsize)
        for start in range(0, len(order), size):
            part = order[start : start + size]
            rows = vectors[part]
            segment = Segment(keys[part], rows, row_digests(rows), dict(provenance), self.fingerprint.digest)
            yield build_segment(self._format, segment)

    def read(self, locations: Locations, rows: NDArray[np.integer[Any]] | slice) -> NDArray[np.floating[Any]]:
        """Read the vectors of some of the located keys.

        Each segment concerned is read and verified once for a call; two segments at most (128 MB) are held. Ask for
        rows in the order in which they were appended, in large blocks, and each segment is read about once.

        Parameters
        ----------
        locations : Locations
            From `locate`.
        rows : ndarray of int, shape [n], or slice
            Positions among the located keys; each must have been found.

        Returns
        -------
        ndarray of this log's dtype, shape [n, dim]

        Raises
        ------
        StoreError
            When a row was not found, or was removed from the store since.
        CorruptSegment
            When a segment was damaged since; locate again, and its rows are missing.
        """
        wanted = np.arange(len(locations))[rows]
        missing = wanted[locations.segment[wanted] < 0]
        if len(missing):
            raise StoreError(
                f"expected only located keys, found {len(missing)} missing ones (the first at {missing[0]}); "
                "compute and append them first"
            )
        try:
            return self._gather(locations, wanted)
        except FileNotFoundError:
            return self._gather_again(locations, wanted)

    def _gather_again(self, locations: Locations, wanted: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        """Look the rows up anew, once: their segment may have been merged into another in the meantime."""
        again = self.locate(np.ascontiguousarray(locations.keys[wanted]))
        try:
            if again.found.all():
                return self._gather(again, np.arange(len(again)))
        except FileNotFoundError:
            pass
        raise StoreError(
            f"expected {len(wanted)} located rows in {self.folder}, found some removed meanwhile; "
            "run again, and they will be computed again"
        )

    def _gather(self, locations: Locations, wanted: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        vectors = np.empty((len(wanted), self.dim), dtype=self.dtype)
        numbers = locations.segment[wanted]
        for number in np.unique(numbers):
            here = np.flatnonzero(numbers == number)
            segment = self._keep(locations.names[number])
            vectors[here] = segment.vectors[locations.row[wanted[here]]]
        return vectors

    def _keep(self, name: str) -> Segment:
        """Read a segment, or give one of the last few read."""
        segment = self._kept.pop(name, None)
        if segment is None:
            while len(self._kept) >= _KEPT_SEGMENTS:
                del self._kept[next(iter(self._kept))]
            segment = self.read_segment(name)
        self._kept[name] = segment
        return segment

    def read_segment(self, name: str) -> Segment:
        """Read one whole segment and check that it is this encoder's.

        Raises
        ------
        CorruptSegment
            When it is damaged, or belongs to another encoder.
        FileNotFoundError
            When it is no longer there.
        """
        segment = read_segment(self.segments_folder, name)
        expected = (self.fingerprint.digest, self.dim, self.dtype)
        found = (segment.fingerprint, segment.vectors.shape[1], segment.vectors.dtype.name)
        if found != expected:
            raise CorruptSegment(
                f"segment {name}: expected fingerprint, dimension and dtype {expected}, found {found}; "
                "move the file to the folder of its own encoder"
            )
        return segment

    def _compare(self) -> None:
        if not self.compared:
            self.compared = compare_record(self.folder, self._record)

    def _stream(self, corrupt: list[str]) -> Iterator[tuple[str, Segment]]:
        """Give every readable segment; list again, once, when one vanished while reading."""
        seen: set[str] = set()
        for _ in range(2):
            vanished = False
            for name in self.segments():
                if name in seen:
                    continue
                seen.add(name)
                try:
                    yield name, self.read_segment(name)
                except FileNotFoundError:
                    vanished = True
                except CorruptSegment as error:
                    corrupt.append(name)
                    _LOG.warning("skipped a damaged segment: %s", error)
            if not vanished:
                return
