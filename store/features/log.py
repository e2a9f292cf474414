"""One encoder's vectors in a store: a growing set of segments that are found, read and appended to, never changed.

`store` opens it; `segment_files` knows the files, `index` joins keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.backends.protocol import Backend
from store.errors import CorruptSegment, RowsRemoved, StoreError
from store.features.fingerprint import Fingerprint
from store.features.index import Locations, locate
from store.features.record import EncoderRecord, compare_record, establish_record
from store.features.segment_files import SegmentFiles
from store.items.keys import sortable
from store.items.vectors import Rows, VectorType, check_keys, check_rows
from store.segments.segment import Segment, SegmentFormat, build_segment, row_digests, rows_per_segment
from store.trust.signing import UNSIGNED, Signing

# Rows of neighbouring blocks often lie in the same one or two segments.
_KEPT_SEGMENTS = 2
# A janitor may merge segments again and again while a slow reader reads; each attempt keeps the rows it got.
_ATTEMPTS = 20
# A listing taken while files are renamed may miss the old and the new name.
_UNSEEN = 3


class EncoderLog:
    """The vectors of one encoder; get one from `FeatureStore.open`.

    Attributes
    ----------
    folder : str
        Where they lie below the store's root; made by the first `append`.
    files : SegmentFiles
    fingerprint : Fingerprint
    dim : int
    dtype : {"float16", "float32", "uint8"}
    zero_legal : bool
        Whether a row may be all zero.
    compared : bool
        Whether the folder's record was there and equal in full; False for a folder not yet made.
    """

    def __init__(
        self,
        backend: Backend,
        folder: str,
        record: EncoderRecord,
        segment_format: SegmentFormat,
        cache: Path | None = None,
        signing: Signing = UNSIGNED,
    ) -> None:
        self.folder = folder
        self.files = SegmentFiles(backend, folder, record, cache, signing)
        self.fingerprint: Fingerprint = record.fingerprint
        self.dim = record.dim
        self.dtype: VectorType = record.dtype
        self.zero_legal = record.zero_legal
        self.record = record
        self._backend = backend
        self._format: SegmentFormat = segment_format
        self._kept: dict[str, Segment] = {}
        self.compared = compare_record(backend, folder, record)

    @property
    def shown(self) -> str:
        """The folder in full, for messages."""
        return self._backend.shown(self.folder)

    def segments(self) -> list[str]:
        """List the names of the segments that lookups see, sorted; foreign files are left out."""
        return [entry.name for _, entry in self.files.entries()]

    def probe_writable(self) -> None:
        """Check that `append` may write here, before the vectors are computed.

        Raises
        ------
        SigningError
            When lookups see signed segments only, and ours would not be signed by a trusted key.
        StoreNotWritable, StoreFull, StoreUnreachable
            When it may not.
        """
        self.files.signatures.probe_writable()
        self._backend.probe_writable(self.files.folder)

    def locate(self, keys: NDArray[np.uint8]) -> Locations:
        """Look up keys, holding the key table of one segment at a time.

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
        if not self.compared:
            self.compared = compare_record(self._backend, self.folder, self.record)
        corrupt: list[str] = []
        found = locate(keys, self.files.tables(corrupt))
        return Locations(found.segment, found.row, found.names, found.keys, tuple(sorted(corrupt)))

    def append(self, keys: NDArray[np.uint8], vectors: Rows, provenance: Mapping[str, Any]) -> str:
        """Store rows durably; when it returns, they survive a power cut.

        Parameters
        ----------
        keys : ndarray of uint8, shape [N, 32]
            Each once; N at least 1.
        vectors : ndarray of this log's dtype, shape [N, dim]
            C-contiguous, little-endian, finite; a row of floats is all zero only where `zero_legal`.
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
        SigningError
            When lookups would not see the rows; nothing was written.
        StoreFull, StoreNotWritable, StoreUnreachable
            When writing failed; what was stored before is intact.
        """
        check_rows(keys, vectors, self.dim, self.dtype, self.zero_legal)
        self.files.signatures.check_writer()
        established, name = False, ""
        for segment in self._portions(keys, vectors, provenance):
            name, data = build_segment(self._format, segment)  # refuses a bad provenance before anything is written
            if not established:
                establish_record(self._backend, self.folder, self.record)
                established = self.compared = True
            self.files.publish(name, data, segment)
            # Here and not in `publish`: we vouch for what we computed, not for what else passes through our hands.
            self.files.signatures.sign(name)
        return name

    def _portions(self, keys: NDArray[np.uint8], vectors: Rows, provenance: Mapping[str, Any]) -> Iterator[Segment]:
        order = np.argsort(sortable(keys), kind="stable")
        size = rows_per_segment(self.dim, vectors.dtype.itemsize)
        for start in range(0, len(order), size):
            part = order[start : start + size]
            rows = vectors[part]
            yield Segment(keys[part], rows, row_digests(rows), dict(provenance), self.fingerprint.digest)

    def read(self, locations: Locations, rows: NDArray[np.integer[Any]] | slice) -> Rows:
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
            When a row was not found.
        RowsRemoved
            When a row was removed from the store since; locate again, and it is missing.
        CorruptSegment
            When a segment is damaged; locate again, and its rows are missing.
        """
        wanted = np.arange(len(locations))[rows]
        missing = wanted[locations.segment[wanted] < 0]
        if len(missing):
            raise StoreError(
                f"expected only located keys, found {len(missing)} missing ones (the first at {missing[0]}); "
                "compute and append them first"
            )
        vectors = np.empty((len(wanted), self.dim), dtype=self.dtype)
        asked = locations.keys[wanted]
        pending, unseen = np.arange(len(wanted)), 0
        for _ in range(_ATTEMPTS):
            left = self._gather(locations, wanted, vectors, pending)
            if not len(left):
                return vectors
            # Their segment may have been merged into another: look these rows up anew.
            locations = self.locate(np.ascontiguousarray(asked[left]))
            pending, wanted = left, np.arange(len(left))
            unseen = 0 if locations.found.any() else unseen + 1
            if unseen == _UNSEEN:
                break
        raise RowsRemoved(
            f"expected {len(vectors)} located rows in {self.shown}, found some removed meanwhile; "
            "run again, and they will be computed again"
        )

    def _gather(
        self,
        locations: Locations,
        wanted: NDArray[np.intp],
        vectors: Rows,
        places: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Copy located rows to their places in `vectors`; give the places whose segment is gone."""
        gone = [places[locations.segment[wanted] < 0]]
        numbers = locations.segment[wanted]
        for number in np.unique(numbers[numbers >= 0]):
            here = np.flatnonzero(numbers == number)
            try:
                segment = self._keep(locations.names[number])
            except FileNotFoundError:
                gone.append(places[here])
                continue
            rows = locations.row[wanted[here]]
            # The lookup compared half of each key.
            if not np.array_equal(segment.keys[rows], locations.keys[wanted[here]]):
                self.files.skip(locations.names[number])
                raise CorruptSegment(
                    f"segment {locations.names[number]}: expected the keys that were located, found others beginning "
                    "alike; move the file away: somebody made them so"
                )
            vectors[places[here]] = segment.vectors[rows]
        return np.concatenate(gone)

    def _keep(self, name: str) -> Segment:
        """Read a segment, or give one of the last few read."""
        segment = self._kept.pop(name, None)
        if segment is None:
            while len(self._kept) >= _KEPT_SEGMENTS:
                del self._kept[next(iter(self._kept))]
            segment = self.files.read(name)
        self._kept[name] = segment
        return segment
