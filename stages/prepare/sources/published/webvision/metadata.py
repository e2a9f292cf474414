"""The metadata of WebVision: what one entry says, and an index over files of many gigabytes of them."""

from __future__ import annotations

import codecs
import hashlib
import html
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from stages.prepare.sources.json_files import json_entries
from stages.prepare.sources.published.webvision.layout import MetadataFile
from store.errors import InputError, RunError
from store.files.publish import atomic_output
from store.files.reading import read_regular_file, resolve_below

_LARGEST_FILE = 4 * 1024 * 1024


class Entry(NamedTuple):
    """The metadata of a picture: its origin, its texts without HTML entities, None where blank, and its tags."""

    origin: str | None
    title: str | None
    description: str | None
    tags: str | None


def read_entry(origin: str, fields: Mapping[str, Any]) -> Entry:
    """Read one object of metadata.

    Parameters
    ----------
    origin : str
        google or flickr.
    fields : mapping
        `title` and `description`, and `tags` as one string (2.0) or a list (1.0); others are left alone.
    """
    tags = fields.get("tags")
    words = " ".join(str(tag) for tag in tags) if isinstance(tags, list) else tags
    return Entry(origin, _text(fields.get("title")), _text(fields.get("description")), _text(words))


def _text(value: Any) -> str | None:
    """Return a text as people would read it; half of a surrogate pair, which JSON can spell, becomes a `?`."""
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    text = _encodable(html.unescape(str(value)))
    return text if text.strip() else None


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def entry_id(fields: Mapping[str, Any]) -> str:
    """Return the id of an object of metadata, "" where it has none."""
    value = fields.get("id")
    return _encodable(value) if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def beside(image: str) -> str:
    """Return the path of the metadata file beside a picture: its own without the ending."""
    return image.rpartition(".")[0] or image


def read_entry_beside(root: Path, image: str) -> Entry | None:
    """Read the metadata file beside a picture, which has its name without the ending; None where there is none.

    An entry with tags is from Flickr, any other from Google.

    Raises
    ------
    InputError
        When the path leads out of the folder, or the file is no JSON object.
    """
    path = resolve_below(root, beside(image))
    try:
        fields = json.loads(read_regular_file(path, _LARGEST_FILE))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"expected a JSON object in {path}, found this: {error}; mend the file") from error
    if not isinstance(fields, dict):
        raise InputError(f"expected a JSON object in {path}, found a {type(fields).__name__}; mend the file")
    return read_entry("flickr" if "tags" in fields else "google", fields)


def stream_entries(file: MetadataFile) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON array one by one, in memory bounded by the largest of them.

    Raises
    ------
    InputError
        When it is no array of objects or is damaged, naming the entry, from 0.
    """
    with file.path.open("rb") as start:
        if not start.read(4096).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):  # an object may hold no list
            raise InputError(f"{file.name}: expected a JSON array, found something else; fetch the file again")
    for entry in json_entries(file.path):
        if not isinstance(entry.value, dict):
            raise InputError(
                f"{file.origin}: {entry.where}: expected an object of a JSON array, found something else; "
                "fetch the file again"
            )
        yield entry.value


_LOG = logging.getLogger("diptych.prepare")
_FORMAT = 1
_FAST = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -32768")
_TABLES = (
    "CREATE TABLE entries (id TEXT, origin TEXT, title TEXT, description TEXT, tags TEXT)",
    "CREATE TABLE files (name TEXT PRIMARY KEY, before INTEGER, entries INTEGER)",
)


class FoundEntry(NamedTuple):
    """An entry and the id that it says it is of."""

    id: str
    entry: Entry


def open_index(files: Sequence[MetadataFile], folder: Path) -> Path:
    """Return the index of some metadata files, made where `folder` does not have it yet.

    It is an SQLite file, since 16 million entries fit no dictionary, and made again whenever names, sizes or times of
    the metadata files change. It holds nothing that cannot be made again, so it may lie in a cache.

    Parameters
    ----------
    files : sequence of MetadataFile
        All arrays; entry i of a file, from 1, becomes a row whose number is known from the file and i.
    folder : Path
        Where the index is looked for and made; appears when needed.

    Raises
    ------
    InputError
        When one of the files is wrong.
    """
    path = folder / f"webvision-{_digest(files)}.sqlite"
    if path.is_file():
        if _is_whole(path):
            return path
        _LOG.warning("the index %s is damaged: it is made again", path)
    with atomic_output(path) as temporary:
        _build(temporary, files)
    return path


def _digest(files: Sequence[MetadataFile]) -> str:
    stats = [(file.origin, file.name, file.path.stat()) for file in files]
    told = [_FORMAT, *((origin, name, stat.st_size, stat.st_mtime_ns) for origin, name, stat in stats)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _is_whole(path: Path) -> bool:
    with suppress(sqlite3.DatabaseError), closing(_connect(path)) as base:
        return bool(base.execute("SELECT count(*) FROM files").fetchone()) and _has_index(base)
    return False


def _has_index(base: sqlite3.Connection) -> bool:
    return base.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_id'").fetchone() is not None


def _build(path: Path, files: Sequence[MetadataFile]) -> None:
    with closing(sqlite3.connect(path)) as base:
        for statement in (*_FAST, *_TABLES):
            base.execute(statement)
        before = 0
        for file in files:
            base.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", _rows(file))
            (last,) = base.execute("SELECT coalesce(max(rowid), 0) FROM entries").fetchone()
            base.execute("INSERT INTO files VALUES (?, ?, ?)", (file.name, before, last - before))
            before = last
        base.execute("CREATE INDEX by_id ON entries (id)")  # sorting once beats keeping 16 million rows in order
        base.commit()


def _rows(file: MetadataFile) -> Iterator[tuple[str | None, ...]]:
    for fields in stream_entries(file):
        yield (entry_id(fields) or None, *read_entry(file.origin, fields))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


class MetadataIndex:
    """Looks entries up; close it when done.

    Parameters
    ----------
    path : Path
        What `open_index` returned.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._base = _connect(path)
        self._files: dict[str, tuple[int, int]] = {
            name: (before, entries) for name, before, entries in self._ask("SELECT name, before, entries FROM files")
        }

    @property
    def files(self) -> int:
        """How many arrays have been read."""
        return len(self._files)

    @property
    def entries(self) -> int:
        """How many entries they have."""
        return sum(entries for _, entries in self._files.values())

    def without_id(self) -> int:
        """Count the entries that say no id: nothing can find them but a list of metadata."""
        return int(self._ask("SELECT count(*) FROM entries WHERE id IS NULL")[0][0])

    def by_id(self, identity: str, origin: str | None) -> Entry | None:
        """Return the first entry of an id, from the given origin if one is given; None where there is none."""
        found = self._ask(
            "SELECT origin, title, description, tags FROM entries WHERE id = ?1 AND (?2 IS NULL OR origin = ?2) "
            "ORDER BY rowid LIMIT 1",
            identity,
            origin,
        )
        return Entry(*found[0]) if found else None

    def by_place(self, line: str) -> FoundEntry | None:
        """Return the entry that a line `<array> <number from 1>` of a list of metadata names; None for no such."""
        name, _, number = line.rpartition(" ")
        first, _, rest = name.partition("/")
        before, entries = self._files.get(f"{first.removesuffix('_json')}/{rest}", (0, 0))
        if not number.isdecimal() or not 1 <= int(number) <= entries:
            return None
        ((identity, *values),) = self._ask(
            "SELECT id, origin, title, description, tags FROM entries WHERE rowid = ?1", before + int(number)
        )
        return FoundEntry(identity or "", Entry(*values))

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def _ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._base.execute(question, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise RunError(
                f"expected a sound index of the metadata at {self._path}, found a damaged one ({error}); delete it"
            ) from error
