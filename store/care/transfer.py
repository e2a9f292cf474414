"""Copies vectors between stores: another folder, an object storage, or one `.zip` file that `archive` reads and writes.

What is published was verified first, row by row; what is damaged is named and left behind; what is there already is
skipped, so that any transfer may be repeated. One segment is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from store.care.archive import SUFFIX, ArchiveBackend, ArchiveWriter, write_archive
from store.care.verify import Unsound, row_damage
from store.errors import (
    FingerprintMismatch,
    StoreNotReadable,
    StoreUnreachable,
    UnknownEncoder,
    UnsupportedFormat,
    UnsupportedStore,
)
from store.features.log import EncoderLog
from store.features.record import RECORD_NAME, establish_record, read_record
from store.features.store import FeatureStore
from store.files.publish import Durability
from store.segments.segment import MAX_SEGMENT_BYTES, Segment, SegmentName, check_promise, decode_segment

# Called after every segment with how many are done and how many there are.
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class TransferReport:
    """What a transfer did.

    Attributes
    ----------
    encoders, segments, rows, bytes : int
        What was copied.
    skipped : int
        Segments that were there already.
    problems : tuple of Problem
        What was damaged, or of another encoder than its folder, and was left behind.
    """

    encoders: int
    segments: int
    rows: int
    bytes: int
    skipped: int
    problems: tuple[Unsound, ...]


def export_store(
    source: FeatureStore,
    target: str | Path,
    *,
    encoders: Collection[str] | None = None,
    told: Told = lambda done, total: None,  # noqa: ARG005
    durability: Durability = "full",
) -> TransferReport:
    """Copy a store, or some encoders of it, into another root or into an archive.

    Parameters
    ----------
    source : FeatureStore
    target : str or Path
        A folder or URL, to which is added; or a new ``.zip``: equal stores give equal bytes.
    encoders : collection of str, optional
        Names of encoders or of their folders; all when left out.
    told : callable
        Called with (done, total) after each segment.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.

    Raises
    ------
    UnknownEncoder
        When the source has no encoder of a name asked for; nothing was written.
    UnsafeArchive, UnsupportedStore
        When `target` is an archive that exists, or an address that is not served.
    StoreFull, StoreNotWritable, StoreUnreachable
        When writing failed; segments copied into a root before that stay, an archive does not appear.
    """
    jobs, problems = _jobs(source, encoders)
    if not _is_archive(target):
        return _copy(jobs, problems, _Root(FeatureStore(target, durability=durability)), told)
    names = [name for job in jobs for name in job.names]
    size = sum(name.size for name in names)
    with write_archive(Path(target), len(jobs) + len(names), size, durability) as writer:
        return _copy(jobs, problems, _Archive(writer), told)


def import_store(
    source: str | Path,
    target: FeatureStore,
    *,
    encoders: Collection[str] | None = None,
    told: Told = lambda done, total: None,  # noqa: ARG005
) -> TransferReport:
    """Add another root, or an archive, to a store; nothing in it is changed or replaced, except copies of another size.

    Parameters
    ----------
    source : str or Path
        A folder, a URL or a ``.zip`` that `export_store` wrote.
    target : FeatureStore
    encoders : collection of str, optional
        Names of encoders or of their folders; all when left out.
    told : callable
        Called with (done, total) after each segment.

    Raises
    ------
    UnknownEncoder
        When the source has no encoder of a name asked for; nothing was written.
    UnsafeArchive
        When the archive is not one of ours; nothing was written.
    UnsupportedStore
        When there is no store at `source`.
    StoreFull, StoreNotWritable, StoreUnreachable
        When writing failed; segments copied before that stay.
    """
    with ExitStack() as stack:
        archive = _is_archive(source)
        root = FeatureStore(stack.enter_context(ArchiveBackend(Path(source))) if archive else source)
        if not archive and not root.exists():
            raise UnsupportedStore(f"expected a store to import at {root.address}, found none; correct the address")
        jobs, problems = _jobs(root, encoders)
        return _copy(jobs, problems, _Root(target), told)


def _is_archive(address: str | Path) -> bool:
    text = str(address)
    if not text.endswith(SUFFIX):
        return False
    if "://" in text:
        raise UnsupportedStore("expected an archive as a local file, found a URL; copy it here, or name a folder")
    return True


@dataclass(frozen=True)
class _Job:
    """One encoder of the source with the segments that its listing names, sorted."""

    log: EncoderLog
    names: Sequence[SegmentName]


def _jobs(source: FeatureStore, wanted: Collection[str] | None) -> tuple[list[_Job], list[Unsound]]:
    jobs: list[_Job] = []
    problems: list[Unsound] = []
    known: set[str] = set()
    for folder in source.encoder_folders():
        # The folder's name tells the encoder's, also where the record is damaged.
        both = {folder.rpartition("/")[2], folder.rpartition("/")[2].rpartition("-")[0]}
        known |= both
        if wanted is not None and not both & set(wanted):
            continue
        try:
            log = _log(source, folder)
        except (FingerprintMismatch, UnsupportedFormat) as error:
            problems.append(Unsound(folder, "", str(error)))
            continue
        if log is not None:
            jobs.append(_Job(log, [name for name, _ in log.files.entries()]))
    unknown = sorted(set(wanted or ()) - known)
    if unknown:
        raise UnknownEncoder(
            f"expected encoders of {source.address}, found {', '.join(map(repr, unknown))}; there are {sorted(known)}"
        )
    return jobs, problems


def _log(source: FeatureStore, folder: str) -> EncoderLog | None:
    record = read_record(source.backend, folder)
    if record is not None:
        return source.log(record)
    if source.backend.exists(f"{folder}/segments"):
        raise FingerprintMismatch(f"expected {RECORD_NAME} next to the segments, found none; restore it")
    return None  # somebody else's folder


class _Target(Protocol):
    """Where verified segments go, one encoder after the other."""

    def begin(self, log: EncoderLog) -> set[SegmentName]:
        """Make ready for an encoder of the source, and tell which of its segments are there already."""

    def put(self, name: SegmentName, data: bytes, segment: Segment) -> None:
        """Publish a segment of that encoder."""


class _Root:
    """Another store; an encoder's record is put there before its first segment."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def begin(self, log: EncoderLog) -> set[SegmentName]:
        self._log = self._store.log(log.record)
        there = self._log.files.all_entries()
        return {name for name, entry in there if entry.size == name.size}  # another size is damaged, and is replaced

    def put(self, name: SegmentName, data: bytes, segment: Segment) -> None:
        if not self._log.compared:
            establish_record(self._store.backend, self._log.folder, self._log.record)
            self._log.compared = True
        self._log.files.publish(str(name), data, segment)


class _Archive:
    """A new archive, in the order of the names."""

    def __init__(self, writer: ArchiveWriter) -> None:
        self._writer = writer

    def begin(self, log: EncoderLog) -> set[SegmentName]:
        self._log, self._recorded = log, False
        return set()

    def put(self, name: SegmentName, data: bytes, segment: Segment) -> None:  # noqa: ARG002 (the protocol's)
        if not self._recorded:
            self._writer.put(f"{self._log.folder}/{RECORD_NAME}", self._log.record.to_bytes())
            self._recorded = True
        self._writer.put(self._log.files.path(name), data)


def _copy(jobs: Sequence[_Job], problems: list[Unsound], target: _Target, told: Told) -> TransferReport:
    copied: list[tuple[str, SegmentName]] = []
    done, skipped, total = 0, 0, sum(len(job.names) for job in jobs)
    for job in jobs:
        folder = job.log.folder
        try:
            there = target.begin(job.log)
        except (FingerprintMismatch, UnsupportedFormat) as error:
            problems.append(Unsound(folder, "", str(error)))
            continue
        for name in job.names:
            if name in there:
                skipped += 1
            elif problem := _copy_one(job.log, name, target):
                problems.append(Unsound(folder, str(name), problem))
            else:
                copied.append((folder, name))
            done += 1
            told(done, total)
    rows, size = sum(name.rows for _, name in copied), sum(name.size for _, name in copied)
    return TransferReport(len({folder for folder, _ in copied}), len(copied), rows, size, skipped, tuple(problems))


def _copy_one(log: EncoderLog, name: SegmentName, target: _Target) -> str:
    """Read, verify and publish a segment; say what is wrong with it, "" when nothing is."""
    try:
        data, segment = _read(log, name)
    except FileNotFoundError:
        return "expected it where it was listed, found it removed or merged into another meanwhile; run again"
    except (StoreNotReadable, StoreUnreachable):
        raise
    except (OSError, ValueError) as error:
        return f"{error}; restore it from another copy, or run `diptych store repair` where it lies"
    target.put(name, data, segment)
    return ""


def _read(log: EncoderLog, name: SegmentName) -> tuple[bytes, Segment]:
    if name.size > MAX_SEGMENT_BYTES:
        raise ValueError(f"expected at most {MAX_SEGMENT_BYTES} bytes, found {name.size} in the name")
    data = log.files.backend.read(log.files.path(name), name.size)
    check_promise(name, data)
    segment = decode_segment(name, data)
    log.files.check_owner(str(name), segment)
    damage = row_damage(segment, log.zero_legal)
    if damage:
        raise ValueError(damage)
    return data, segment
