"""The segment files of one encoder: lists, reads and publishes them, and gives the key table of each.

`log` looks rows up in them and reads rows; `care` works on whole segments. Tables of segments that were read and
verified are remembered on this machine, so that a lookup reads no vectors: only a cache, in which every file carries
its segment's name and a checksum, and whatever does not match is made again. Two processes may use it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from store.backends.protocol import Backend, Entry
from store.errors import CorruptSegment, StoreError
from store.features.index import BYTES_PER_ROW, KeyTable
from store.features.record import EncoderRecord
from store.files.publish import publish
from store.files.reading import read_regular
from store.segments.segment import Segment, SegmentName, read_head, read_segment
from store.trust.signatures import SegmentSignatures
from store.trust.signing import UNSIGNED, Signing

_LOG = logging.getLogger("diptych.store")
_SUFFIX = ".keys"
_OVERHEAD_BYTES = 512


class KeyCache:
    """The key tables of one encoder's segments.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; None keeps nothing. A folder that cannot be written costs time and nothing else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def below(cls, root: Path | None, address: str, encoder_folder: str) -> KeyCache:
        """Choose the folder of one encoder of one store, so that what is gone from it can be dropped."""
        if root is None:
            return cls(None)
        # "store" is another folder in each project: dropping what is gone from one must not empty the other's tables.
        whole = address if "://" in address else str(Path(address).absolute())
        return cls(root / hashlib.sha256(whole.encode()).hexdigest()[:16] / encoder_folder)

    def get(self, name: SegmentName) -> KeyTable | None:
        """Give a segment's table; None when it is not there or damaged."""
        if self._folder is None:
            return None
        limit = name.rows * BYTES_PER_ROW + _OVERHEAD_BYTES
        try:
            return KeyTable.from_bytes(read_regular(self._file(str(name)), limit), str(name), name.rows)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.info("the local index is made again: %s", error)
            return None

    def put(self, name: SegmentName, table: KeyTable) -> None:
        """Keep a table."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError, StoreError):  # a read-only or full disk: the next lookup reads the segment
            publish(self._file(str(name)), table.to_bytes(str(name)), durability="none", heal=True)

    def drop(self, name: str) -> None:
        """Forget a segment's table."""
        if self._folder is not None and SegmentName.parse(name) is not None:
            with contextlib.suppress(OSError):
                self._file(name).unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Forget the tables of segments that are no longer there."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if path.name.removesuffix(_SUFFIX) not in names:
                    path.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        assert self._folder is not None  # noqa: S101 (for mypy: the callers have looked)
        return self._folder / f"{name}{_SUFFIX}"


# A janitor may merge segments again and again while a slow reader reads; each listing adds only what is new.
_LISTINGS = 20


class SegmentFiles:
    """One encoder's segments on a backend.

    Parameters
    ----------
    backend : Backend
    folder : str
        The encoder's folder, below the root.
    record : EncoderRecord
    cache : Path or None
        Where this machine remembers key tables; None remembers nothing beyond this object.
    signing : Signing
        With trusted keys, `entries` and `tables` give only the segments that one of them signed.
    """

    def __init__(
        self, backend: Backend, folder: str, record: EncoderRecord, cache: Path | None, signing: Signing = UNSIGNED
    ) -> None:
        self.backend = backend
        self.folder = f"{folder}/segments"
        self.signatures = SegmentSignatures(backend, folder, record.fingerprint.digest, signing)
        self._record = record
        self._cache = KeyCache.below(cache, backend.address, folder.rpartition("/")[2])
        # Seen to be damaged by this object: whatever the cache says of them, their rows are missing.
        self._damaged: set[str] = set()

    def entries(self) -> list[tuple[SegmentName, Entry]]:
        """List the segments that lookups may see: all of them, or with trusted keys only those they signed."""
        return self.signatures.seen(self.all_entries())

    def all_entries(self) -> list[tuple[SegmentName, Entry]]:
        """List the segments now there with what the storage says of them, sorted by name; other files are left out."""
        named = ((SegmentName.parse(entry.name), entry) for entry in self.backend.files(self.folder))
        return [(name, entry) for name, entry in named if name is not None]

    def path(self, name: SegmentName | str) -> str:
        """Give the path of a segment below the root."""
        return f"{self.folder}/{name}"

    def read(self, name: str) -> Segment:
        """Read one whole segment and check that it is this encoder's.

        Raises
        ------
        CorruptSegment
            When it is damaged, or belongs to another encoder; from then on this object skips it.
        FileNotFoundError
            When it is no longer there.
        """
        try:
            segment = read_segment(self.backend, self.folder, name)
            self.check_owner(name, segment)
        except CorruptSegment:
            self.skip(name)
            raise
        return segment

    def skip(self, name: str) -> None:
        """Let lookups of this object leave a segment out from now on."""
        self._damaged.add(name)
        self._cache.drop(name)

    def check_owner(self, name: str, segment: Segment) -> None:
        """Refuse a segment that lies in the folder of another encoder.

        Raises
        ------
        CorruptSegment
            Naming what differs.
        """
        record = self._record
        expected = (record.fingerprint.digest, record.dim, record.dtype)
        found = (segment.fingerprint, segment.vectors.shape[1], segment.vectors.dtype.name)
        if found != expected:
            raise CorruptSegment(
                f"segment {name}: expected fingerprint, dimension and dtype {expected}, found {found}; "
                "move the file to the folder of its own encoder"
            )

    def publish(self, name: str, data: bytes, segment: Segment) -> None:
        """Put a segment in place and remember its keys."""
        # `heal`: the name is the digest of these bytes, so whatever else lies under it is damaged.
        self.backend.publish(self.path(name), data, heal=True)
        self._damaged.discard(name)
        promised = SegmentName.parse(name)
        if promised is not None:
            self._cache.put(promised, KeyTable.of(segment.keys, segment.row_digests))

    def tables(self, corrupt: list[str], *, untrusted: bool = False) -> Iterator[tuple[str, KeyTable]]:
        """Give the key table of every sound segment; list again when one vanished while reading.

        Parameters
        ----------
        corrupt : list of str
            The names of damaged segments are appended here, and each is told in a warning.
        untrusted : bool
            Also give the segments that lookups do not see.
        """
        seen: set[str] = set()
        for _ in range(_LISTINGS):
            entries = self.all_entries() if untrusted else self.entries()
            vanished = False
            for name, entry in entries:
                if entry.name in seen:
                    continue
                seen.add(entry.name)
                try:
                    yield entry.name, self._table(name, entry)
                except FileNotFoundError:
                    vanished = True
                except CorruptSegment as error:
                    corrupt.append(entry.name)
                    _LOG.warning("skipped a damaged segment: %s", error)
            if not vanished:
                self._cache.keep_only({entry.name for _, entry in entries})
                return

    def table(self, name: str) -> KeyTable:
        """Give the key table of one segment.

        Raises
        ------
        CorruptSegment
            When it is damaged, or `name` is not that of a segment.
        FileNotFoundError
            When it is no longer there.
        """
        promised = SegmentName.parse(name)
        if promised is None:
            raise CorruptSegment(f"expected the name of a segment, found {name[:200]!r}; list them anew")
        return self._table(promised, Entry(name, promised.size, 0.0))

    def _table(self, name: SegmentName, entry: Entry) -> KeyTable:
        if entry.name in self._damaged:
            raise CorruptSegment(f"segment {name} is damaged, as was seen before; run `diptych store repair`")
        # The listing alone tells a truncated or overgrown file; reading it gives the full message.
        table = self._cache.get(name) if entry.size == name.size else None
        if table is None:
            table = self._read_table(name, entry)
            self._cache.put(name, table)
        return table

    def _read_table(self, name: SegmentName, entry: Entry) -> KeyTable:
        head = read_head(self.backend, self.folder, name) if entry.size == name.size else None
        if head is not None:
            return KeyTable.of(*head)
        segment = self.read(entry.name)
        return KeyTable.of(segment.keys, segment.row_digests)
