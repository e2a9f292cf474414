"""Reads the metadata of WebVision: what one entry says, and a JSON array of entries as a stream."""

from __future__ import annotations

import codecs
import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.errors import InputError
from stages.items import read_regular_file, resolve_below
from stages.prepare.sources.json_stream import json_entries
from stages.prepare.sources.webvision_layout import MetadataFile

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
