"""Reads the files of Visual Genome entry by entry and keeps what a row needs; called by `visual_genome`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple

from stages.prepare.sources.json_files import Entry, identity, is_writable, json_entries, number, text
from stages.prepare.sources.protocol import Reject
from store.errors import InputError

_MOST_STRAYS = 10_000
_NAMES = ("synsets", "names", "object_names", "name")


class Phrase(NamedTuple):
    """What was said of one region."""

    words: str
    box: tuple[float | None, float | None, float, float]


@dataclass(slots=True)
class Picture:
    """What the files say of one picture.

    Attributes
    ----------
    where : str
        Its entry in the list of pictures.
    coco_id : str or None
        Its id in COCO, for pictures taken from there.
    objects : tuple of int
        Each object that it shows, as a position in the vocabulary.
    phrases : tuple of Phrase
        Those of its largest regions, the largest first.
    fault : Reject or None
        The first mistake in what other files say of it.
    """

    where: str
    coco_id: str | None
    objects: tuple[int, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    fault: Reject | None = None


class Archive:
    """The pictures that `image_data.json` lists, and what the other files say of those that are kept.

    Parameters
    ----------
    path : Path
        The list of pictures.

    Attributes
    ----------
    pictures : dict of str to Picture
        By id, in the order of the list.
    strays : list of Reject
        Entries that belong to no picture, and pictures that are listed again.
    vocabulary : dict of str to int
        The names of all objects met, numbered.

    Raises
    ------
    InputError
        When the file is missing or malformed, or lists no picture.
    """

    def __init__(self, path: Path) -> None:
        self.pictures: dict[str, Picture] = {}
        self.strays: list[Reject] = []
        self.vocabulary: dict[str, int] = {}
        self._list = path.name
        for entry in json_entries(path):
            self._take_picture(entry)
        self._listed = frozenset(self.pictures)
        if not self._listed:
            raise InputError(f"{path}: expected a list of pictures with image_id, found none; fetch the file again")

    def keep(self, spelled: frozenset[str]) -> None:
        """Forget all pictures but these."""
        self.pictures = {name: picture for name, picture in self.pictures.items() if name in spelled}

    def read_objects(self, path: Path, key: str) -> None:
        """Add the objects of the kept pictures from the list `key` of each entry.

        An object that comes twice, by its own id or as one that was merged into another, counts once.

        Raises
        ------
        InputError
            When the file is missing or malformed.
        """
        for spelled, picture, entry in self._described(path):
            try:
                objects = _dicts(entry.value.get(key), key)
                picture.objects += tuple(self._number(name) for name in _object_names(objects))
            except ValueError as error:
                picture.fault = picture.fault or Reject(spelled, entry.where, "bad-record", str(error))

    def read_regions(self, path: Path, most: int) -> None:
        """Add the phrases of the `most` largest regions of the kept pictures; among equals the first come first.

        Raises
        ------
        InputError
            When the file is missing or malformed.
        """
        for spelled, picture, entry in self._described(path):
            try:
                regions = _dicts(entry.value.get("regions"), "regions")
                said = [*picture.phrases, *_phrases(regions)]
                picture.phrases = tuple(nsmallest(most, said, key=lambda phrase: -phrase.box[2] * phrase.box[3]))
            except ValueError as error:
                picture.fault = picture.fault or Reject(spelled, entry.where, "bad-record", str(error))

    def _take_picture(self, entry: Entry) -> None:
        value = entry.value if isinstance(entry.value, dict) else {}
        spelled = _image_id(value)
        if spelled is None:
            self._stray("", entry, "expected a picture with an image_id")
        elif spelled in self.pictures:
            self._stray(spelled, entry, f"the picture is listed already, at {self.pictures[spelled].where}")
        else:
            coco_id = identity(value.get("coco_id"))
            self.pictures[spelled] = Picture(entry.where, coco_id if is_writable(coco_id) else None)

    def _described(self, path: Path) -> Iterator[tuple[str, Picture, Entry]]:
        """Yield the entries of a file that speak of a kept picture."""
        for entry in json_entries(path):
            spelled = _image_id(entry.value) if isinstance(entry.value, dict) else None
            if spelled is None:
                self._stray("", entry, "expected an entry with an image_id")
            elif spelled in self.pictures:
                yield spelled, self.pictures[spelled], entry
            elif spelled not in self._listed:
                self._stray(spelled, entry, f"of a picture that {self._list} does not list")

    def _number(self, name: str) -> int:
        return self.vocabulary.setdefault(name, len(self.vocabulary))

    def _stray(self, spelled: str, entry: Entry, detail: str) -> None:
        self.strays.append(Reject(spelled, entry.where, "bad-record", detail))
        if len(self.strays) > _MOST_STRAYS:
            first = self.strays[0]
            raise InputError(
                f"{first.where}: expected at most {_MOST_STRAYS:,} entries that belong to no picture, found more, of "
                f"which this is the first: {first.detail}; fetch files of one release"
            )


def _image_id(value: dict[str, Any]) -> str | None:
    found = identity(value.get("image_id")) or identity(value.get("id"))
    return found if is_writable(found) else None


def _dicts(value: Any, key: str) -> list[dict[str, Any]]:
    """Return a list of objects, empty where there is none at all."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise ValueError(f"expected a list of objects in {key}, found {str(value)[:40]!r}")
    return value


def _object_names(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the first synset of each object, or its name where it has none; an object with neither says nothing."""
    seen: set[str | None] = set()
    for thing in objects:
        own = identity(thing.get("object_id"))
        if own is None or own not in seen:
            merged = thing.get("merged_object_ids")
            seen.update((own, *map(identity, merged if isinstance(merged, list) else ())))
            yield from _first_name(thing)


def _first_name(thing: dict[str, Any]) -> Iterator[str]:
    for key in _NAMES:
        found = thing.get(key)
        for candidate in found if isinstance(found, list) else (found,):
            name = candidate.get("synset_name") if isinstance(candidate, dict) else candidate
            if isinstance(name, str) and name.strip():
                if not is_writable(name):
                    raise ValueError(f"expected text in {key}, found half of a surrogate pair")
                yield name.strip().lower()
                return


def _phrases(regions: list[dict[str, Any]]) -> Iterator[Phrase]:
    for position, region in enumerate(regions):
        try:
            words = text(region.get("phrase"))
        except TypeError as error:
            raise ValueError(f"regions[{position}]: phrase: {error}") from None
        if words is None:
            continue
        if not is_writable(words):
            raise ValueError(f"regions[{position}]: expected text in phrase, found half of a surrogate pair")
        width, height = number(region.get("width")), number(region.get("height"))
        if width is None or height is None:
            raise ValueError(f"regions[{position}]: expected numbers in width and height, found others")
        yield Phrase(words.strip(), (number(region.get("x")), number(region.get("y")), width, height))
