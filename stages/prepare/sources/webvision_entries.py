"""Reads the metadata of WebVision: what one entry says, and a JSON array of entries as a stream."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ijson

from stages.errors import InputError
from stages.items import read_regular_file, resolve_below
from stages.prepare.sources.webvision_layout import MetadataFile

_LARGEST_ENTRY = 4 * 1024 * 1024
_CHUNK = 64 * 1024


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
    text = html.unescape(str(value)).encode("utf-8", "replace").decode()
    return text if text.strip() else None


def entry_id(fields: Mapping[str, Any]) -> str:
    """Return the id of an object of metadata, "" where it has none."""
    value = fields.get("id")
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def read_entry_beside(root: Path, image: str) -> Entry | None:
    """Read the metadata file beside a picture, which has its name without the ending; None where there is none.

    An entry with tags is from Flickr, any other from Google.

    Raises
    ------
    InputError
        When the path leads out of the folder, or the file is no JSON object.
    """
    path = resolve_below(root, image.rpartition(".")[0] or image)
    try:
        fields = json.loads(read_regular_file(path, _LARGEST_ENTRY))
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
        When it is no array of objects, is damaged, or has an entry larger than 4 MiB; naming the entry, from 1.
    """
    position = 0
    with _Metered(file.path) as source:
        if not source.is_array():
            raise InputError(f"{file.name}: expected a JSON array of objects, found something else; fetch it again")
        try:
            for fields in ijson.items(source, "item", buf_size=_CHUNK):
                position += 1
                if not isinstance(fields, dict):
                    raise InputError(
                        f"{file.name}, entry {position}: expected an object, found a {type(fields).__name__}; "
                        "fetch the file again"
                    )
                source.since = 0
                yield fields
        except (ijson.JSONError, UnicodeDecodeError, _TooLargeError) as error:
            found = " ".join(str(error).split())
            raise InputError(
                f"{file.name}, after entry {position}: expected a JSON array of objects, found this: {found}; "
                "fetch the file again"
            ) from error


class _TooLargeError(Exception):
    """An entry exceeds what is held in memory."""


class _Metered:
    """A file that counts what has been read since `since` was last set to 0, and stops where that is too much."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.since = 0

    def is_array(self) -> bool:
        """Tell whether the first character, after blanks, opens an array; nothing is consumed."""
        start = self._file.read(_CHUNK).lstrip()
        self._file.seek(0)
        return start.startswith(b"[")

    def read(self, size: int) -> bytes:
        """Read on; ijson asks for this alone."""
        chunk = self._file.read(size)
        self.since += len(chunk)
        if self.since > _LARGEST_ENTRY:
            raise _TooLargeError(f"an entry of more than {_LARGEST_ENTRY:,} bytes")
        return chunk

    def __enter__(self) -> _Metered:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
