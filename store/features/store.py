"""The feature store: one root on a disk, a shared folder or an object storage; one `EncoderLog` per fingerprint."""

from __future__ import annotations

import logging
from pathlib import Path

from store.backends.address import open_backend
from store.backends.protocol import Backend
from store.errors import FingerprintMismatch, InvalidVectors, UnsupportedFormat
from store.features.fingerprint import Fingerprint
from store.features.log import EncoderLog
from store.features.record import EncoderRecord, read_record
from store.files.publish import Durability
from store.items.vectors import VECTOR_TYPES, VectorType
from store.segments.segment import SegmentFormat
from store.trust.signing import AllowedSigners, Signer, Signing

_LOG = logging.getLogger("diptych.store")
LAYOUT = "v1"


class FeatureStore:
    """Vectors of many encoders, each computed once and shared by everybody who sees the root.

    Parameters
    ----------
    root : str, Path or Backend
        A local or shared folder, or ``s3://bucket/folder``; made by the first append.
    segment_format : {"zarr.zip", "h5"}
        The format of new segments; both are always read.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.
    cache : Path, optional
        A local folder in which lookups remember the keys of segments; without it every lookup reads every segment.
    signer : Signer, optional
        Signs every segment that is appended.
    trusted : AllowedSigners, optional
        Lookups see only the segments that one of these keys signed.

    Raises
    ------
    UnsupportedStore
        When `root` is an address that is not served, or something that is no folder.
    """

    def __init__(
        self,
        root: str | Path | Backend,
        *,
        segment_format: SegmentFormat = "zarr.zip",
        durability: Durability = "full",
        cache: Path | None = None,
        signer: Signer | None = None,
        trusted: AllowedSigners | None = None,
    ) -> None:
        self.backend: Backend = open_backend(root, durability) if isinstance(root, str | Path) else root
        self.segment_format: SegmentFormat = segment_format
        self.signing = Signing(signer, trusted)
        self._cache = cache

    @property
    def address(self) -> str:
        """The root as a person would type it."""
        return self.backend.address

    def exists(self) -> bool:
        """Tell whether anything was ever stored here."""
        return self.backend.exists(LAYOUT)

    def open(self, fingerprint: Fingerprint, dim: int, dtype: VectorType) -> EncoderLog:
        """Open an encoder's log; nothing is created before the first append.

        Raises
        ------
        FingerprintMismatch
            When the folder of that name describes another encoder, dimension or dtype.
        InvalidVectors
            When dimension or dtype cannot be stored.
        """
        if type(dim) is not int or dim < 1 or dtype not in VECTOR_TYPES:
            raise InvalidVectors(
                f"expected a positive dimension and {' or '.join(VECTOR_TYPES)}, found {dim!r} and {dtype!r}; "
                "correct the encoder"
            )
        return self.log(EncoderRecord(fingerprint, dim, dtype))

    def logs(self) -> list[EncoderLog]:
        """Open every encoder's log, sorted by folder; folders without a good record are left out with a warning."""
        found = []
        for folder in self.encoder_folders():
            try:
                record = read_record(self.backend, folder)
                if record is not None:
                    found.append(self.log(record))
                elif self.backend.exists(f"{folder}/segments"):
                    _LOG.warning("skipped an encoder folder without a record: %s", self.backend.shown(folder))
            except (FingerprintMismatch, UnsupportedFormat) as error:
                _LOG.warning("skipped an encoder folder: %s", error)
        return found

    def encoder_folders(self) -> list[str]:
        """List all folders that could be an encoder's, below the root, sorted."""
        return [f"{LAYOUT}/{name}" for name in self.backend.folders(LAYOUT)]

    def log(self, record: EncoderRecord) -> EncoderLog:
        """Open the log of an encoder whose record is known."""
        folder = f"{LAYOUT}/{record.fingerprint.folder}"
        return EncoderLog(self.backend, folder, record, self.segment_format, self._cache, self.signing)
