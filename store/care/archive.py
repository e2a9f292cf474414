"""A store in one `.zip` file, to be carried where no network goes; `transfer` writes it from a store and reads it back.

The zip is stored, not compressed, and holds nothing but ``v1/<encoder>/encoder.json`` and
``v1/<encoder>/segments/<segment>``. It is read in place: no name in it ever becomes a path on the disk.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from store.backends.protocol import Entry
from store.errors import StoreNotReadable, StoreNotWritable, UnsafeArchive
from store.features.record import RECORD_NAME
from store.files.publish import Durability, atomic_output
from store.files.zarr_documents import zip_entry
from store.segments.segment import SegmentName

SUFFIX = ".zip"
MAX_MEMBERS = 65_536
_MAX_DIRECTORY_BYTES = 16 << 20
_NAME = re.compile(r"(v1/[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{16})/(encoder\.json|segments/[^/]+)", re.ASCII)
# The records that end a zip: the last one, and the two before it that a zip over 4 GB or 65534 members needs.
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_UTF8_FLAG = 0x800


class ArchiveBackend:
    """The members of an archive, read only; implements `protocol.Backend`. Use it as a context manager.

    Parameters
    ----------
    path : Path
        Every member's name, kind and size is checked before the first byte of one is read.

    Raises
    ------
    UnsafeArchive
        When there is no such file, it is no zip, or a member is not one that `write_archive` would write.
    StoreNotReadable
        When it may not be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open_file(path)
        try:
            count = _check_end(path, self._file)
            self._zip = zipfile.ZipFile(self._file)
            self._members = _checked(path, self._zip.infolist(), count, self._file.seek(0, 2))
        except (zipfile.BadZipFile, NotImplementedError, struct.error, EOFError, UnicodeDecodeError) as error:
            self._file.close()
            raise UnsafeArchive(
                f"expected an archive of a store at {path}, found one that cannot be read ({error}); export it again"
            ) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ArchiveBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def address(self) -> str:
        """The file."""
        return str(self._path)

    def shown(self, path: str) -> str:
        """Give the member within the file."""
        return f"{self._path}!{path}"

    def exists(self, folder: str) -> bool:
        """Tell whether a member lies below the folder."""
        return any(name.startswith(f"{folder}/") for name in self._members)

    def files(self, folder: str) -> list[Entry]:
        """List the members directly in the folder."""
        return [
            Entry(name.rpartition("/")[2], member.file_size, 0.0)  # an archive holds no times
            for name, member in sorted(self._members.items())
            if name.rpartition("/")[0] == folder
        ]

    def folders(self, folder: str) -> list[str]:
        """List the first parts of the names below the folder."""
        below = (name[len(folder) + 1 :] for name in self._members if name.startswith(f"{folder}/"))
        return sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def read(self, path: str, limit: int) -> bytes:
        """Read a member whose own checksum holds."""
        member = self._members.get(path)
        if member is None:
            raise FileNotFoundError(path)
        if member.file_size > limit:
            raise ValueError(f"expected at most {limit} bytes in {self.shown(path)}, found {member.file_size}")
        try:
            return self._zip.read(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
            raise ValueError(f"expected a sound member, found another ({error})") from error

    def read_start(self, path: str, size: int) -> bytes | None:  # noqa: ARG002 (the protocol's)
        """Give None: members are checked as a whole."""
        return None

    def uploads(self) -> list[str]:
        """Give none."""
        return []

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:  # noqa: ARG002 (the protocol's)
        """Refuse: an archive is written once, as a whole."""
        self._refuse(path)

    def move(self, path: str, target: str) -> None:  # noqa: ARG002 (the protocol's)
        """Refuse."""
        self._refuse(path)

    def remove(self, path: str) -> None:
        """Refuse."""
        self._refuse(path)

    def probe_writable(self, folder: str) -> None:
        """Refuse."""
        self._refuse(folder)

    def now(self) -> float:
        """Refuse: an archive has no clock."""
        self._refuse("")

    def _refuse(self, path: str) -> NoReturn:
        raise StoreNotWritable(
            f"expected a store that takes new files, found an archive ({self.shown(path)}); import it into a store"
        )


class ArchiveWriter:
    """Puts files into an archive one after the other; equal files in equal order give equal bytes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._zip = archive

    def put(self, path: str, data: bytes) -> None:
        """Add one file."""
        self._zip.writestr(zip_entry(path), data)


@contextmanager
def write_archive(path: Path, members: int, size: int, durability: Durability = "full") -> Iterator[ArchiveWriter]:
    """Lend a writer whose archive appears at `path` when the body ends well, and not at all otherwise.

    Parameters
    ----------
    path : Path
        Nothing may be there: an archive may hold the last good copy of what the store has lost.
    members, size : int
        How many files will be put at most, and their bytes, for the errors about limits and room.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.

    Raises
    ------
    UnsafeArchive
        When something is there, or there are too many files.
    StoreFull, StoreNotWritable
        When the disk is full or the folder refuses writing.
    """
    if path.exists() or path.is_symlink():
        raise UnsafeArchive(f"expected no file at {path} yet, found one; name another, or move it away")
    if members > MAX_MEMBERS:
        raise UnsafeArchive(
            f"expected at most {MAX_MEMBERS} files for one archive, found {members}; "
            "export fewer encoders at once, or into a folder"
        )
    with (
        atomic_output(path, expected_bytes=size, durability=durability) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        yield ArchiveWriter(archive)


def _open_file(path: Path) -> IO[bytes]:
    if not path.is_file():  # a FIFO would hang
        raise UnsafeArchive(f"expected an archive of a store at {path}, found no such file; correct the name")
    try:
        return path.open("rb")
    except PermissionError as error:
        raise StoreNotReadable(f"expected the right to read {path}, found none; ask its owner") from error


def _check_end(path: Path, file: IO[bytes]) -> int:
    """Bound the zip's directory before `zipfile` makes an object of each of its entries, and give their number."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LOCATOR.size - _END64.size))
    tail = file.read()
    if len(tail) < _END.size or tail[-_END.size :][:4] != b"PK\x05\x06":
        raise UnsafeArchive(f"expected an archive of a store at {path}, found no zip, or one with more behind its end")
    *_, entries, directory, start, comment = _END.unpack(tail[-_END.size :])
    before = tail[: -_END.size]
    end = size - _END.size
    if before[-_LOCATOR.size :].startswith(b"PK\x06\x07"):  # `zipfile` then goes by the larger record
        *_, entries, directory, start = _END64.unpack(before[-_LOCATOR.size - _END64.size : -_LOCATOR.size])
        end -= _LOCATOR.size + _END64.size
    if comment or not 0 < entries <= MAX_MEMBERS or directory > _MAX_DIRECTORY_BYTES or start + directory != end:
        raise UnsafeArchive(
            f"expected 1 to {MAX_MEMBERS} members and nothing besides in {path}, found {entries} in a directory of "
            f"{directory} bytes at {start} of {size}; export it again"
        )
    return int(entries)


def _checked(path: Path, members: list[zipfile.ZipInfo], count: int, size: int) -> dict[str, zipfile.ZipInfo]:
    if len(members) != count:  # one damaged length, and an entry swallows those after it
        raise zipfile.BadZipFile(f"{len(members)} of {count} members")
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in members:
        problem = "a name given twice" if member.orig_filename in found else _problem(member)
        total += member.file_size
        if not problem and total > size:
            problem = "members larger than the file"
        if problem:
            # As repr: a name may hold control characters that a terminal would obey.
            raise UnsafeArchive(
                f"expected only encoder records and segments, stored, in {path}, found {problem}: "
                f"{member.orig_filename[:200]!r}; nothing was imported: export it again with `diptych store export`"
            )
        found[member.orig_filename] = member
    return found


def _problem(member: zipfile.ZipInfo) -> str:
    """Say why a member is none of ours; "" when it is one."""
    # `orig_filename`, because zipfile cuts the other one at a NUL.
    match = _NAME.fullmatch(member.orig_filename)
    last = member.orig_filename.rpartition("/")[2]
    kind = stat.S_IFMT(member.external_attr >> 16)
    if match is None or (last != RECORD_NAME and SegmentName.parse(last) is None) or member.filename != match[0]:
        return "a name of another form"
    if kind not in (0, stat.S_IFREG):
        return "a link or another special file"
    if member.flag_bits & ~_UTF8_FLAG:
        return "an encrypted or streamed member"
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        return "a compressed member"
    return ""
