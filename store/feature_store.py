"""The feature store: one folder on a local or shared disk, in it one `EncoderLog` for each encoder fingerprint."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from store.encoder_log import EncoderLog
from store.encoder_record import EncoderRecord, read_record
from store.errors import InvalidVectors, StoreError, UnsupportedStore
from store.fingerprint import Fingerprint
from store.publish import Durability
from store.rows import VectorType
from store.segment import SegmentFormat

_LOG = logging.getLogger("diptych.store")
_LAYOUT = "v1"


class FeatureStore:
    """Vectors of many encoders, each computed once and shared by everybody who sees the folder.

    Parameters
    ----------
    root : str or Path
        A local or shared folder; made by the first append.
    segment_format : {"zarr.zip", "h5"}
        The format of new segments; both are always read.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.

    Raises
    ------
    UnsupportedStore
        When `root` is a URL, or something that is no folder.
    """

    def __init__(
        self, root: str | Path, *, segment_format: SegmentFormat = "zarr.zip", durability: Durability = "full"
    ) -> None:
        if "://" in str(root):
            raise UnsupportedStore(
                f"expected a local or shared folder as the store, found {str(root).split('://')[0]}://...; "
                "this version serves folders only: mount the storage, or choose a path"
            )
        self.root = Path(root).expanduser()
        if self.root.exists() and not self.root.is_dir():
            raise UnsupportedStore(f"expected a folder as the store, found something else at {self.root}; name another")
        self._format: SegmentFormat = segment_format
        self._durability: Durability = durability

    @property
    def encoders_folder(self) -> Path:
        """The folder of this layout's encoder folders."""
        return self.root / _LAYOUT

    def open(self, fingerprint: Fingerprint, dim: int, dtype: VectorType) -> EncoderLog:
        """Open an encoder's log; nothing is created before the first append.

        Raises
        ------
        FingerprintMismatch
            When the folder of that name describes another encoder, dimension or dtype.
        InvalidVectors
            When dimension or dtype cannot be stored.
        """
        if type(dim) is not int or dim < 1 or dtype not in ("float16", "float32"):
            raise InvalidVectors(
                f"expected a positive dimension and float16 or float32, found {dim!r} and {dtype!r}; "
                "correct the encoder"
            )
        return self._log(EncoderRecord(fingerprint, dim, dtype))

    def logs(self) -> list[EncoderLog]:
        """Open every encoder's log, sorted by folder; folders without a good record are left out with a warning."""
        found = []
        for folder in self.encoder_folders():
            try:
                record = read_record(folder)
                if record is not None:
                    found.append(self._log(record))
            except StoreError as error:
                _LOG.warning("skipped an encoder folder: %s", error)
        return found

    def encoder_folders(self) -> list[Path]:
        """List all folders that could be an encoder's, sorted; files, links and hidden names are left out."""
        try:
            with os.scandir(self.encoders_folder) as entries:
                names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
        except FileNotFoundError:
            return []
        return [self.encoders_folder / name for name in sorted(names)]

    def _log(self, record: EncoderRecord) -> EncoderLog:
        folder = self.encoders_folder / record.fingerprint.folder
        return EncoderLog(folder, record, self._format, self._durability)
