"""Writes a small data set in each layout of WebVision: three classes, two of one name, ids under two synsets."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.stages.prepare.sets.painting import paint

Layout = Literal["original", "reorganised", "per_image"]
Version = Literal["1.0", "2.0"]
SYNSETS = (("n01440764", "tench, Tinca tinca", 52), ("n02012849", "crane", 50), ("n03126707", "crane, derrick", 8))
"""Each with the number of its training rows: the per-class protocol takes test rows of the first two alone."""
CLASSES = ("tench", "crane (n02012849)", "crane (n03126707)")
ROWS = sum(rows for _, _, rows in SYNSETS)
OFFICIAL = 2
"""Rows of each class in the official validation list."""
_WORDS = (
    ("river", "angler", "fins", "lake"), ("marsh", "feathers", "beak", "nest"), ("harbour", "steel", "hook", "load"),
)  # fmt: skip


class Picture(NamedTuple):
    """One training row: its id, origin, query (from 1), class (from 0), and whether its metadata are there."""

    number: int
    id: str
    origin: str
    query: int
    label: int
    known: bool

    @property
    def wnid(self) -> str:
        return SYNSETS[self.label][0]


def write_webvision(folder: Path, layout: Layout = "original", version: Version = "2.0") -> None:
    """Write 110 training rows of 109 pictures and six of the official validation list, all 112 x 96 pixels.

    The first picture of the first class stands a second time, under the last one. Of the reorganised layouts and of
    2.0, every seventeenth row has no metadata; the lists of 1.0 name an entry for each, there without any text.
    """
    pictures = training_rows()
    (folder / "info").mkdir(parents=True)
    _lines(folder / "info" / "synsets.txt", (f"{wnid} {names}" for wnid, names, _ in SYNSETS))
    if layout == "original":
        _write_original(folder, pictures, version)
    else:
        _write_reorganised(folder, pictures)
        if layout == "per_image":
            _write_beside(folder, pictures)
        else:
            _write_arrays(folder, [picture for picture in pictures if picture.known], "{origin}", _entry)


def training_rows() -> list[Picture]:
    """Return the rows in the order of their classes."""
    rows: list[Picture] = []
    for label, (_, _, count) in enumerate(SYNSETS):
        for _ in range(count):
            number = len(rows)
            origin = "google" if number % 2 == 0 else "flickr"
            name = f"tNq{number:04d}xYz" if origin == "google" else str(90_000_000 + 7 * number)
            rows.append(Picture(number, name, origin, 1 + 2 * label + number % 4 // 2, label, number % 17 != 5))
    rows[-2] = rows[-2]._replace(number=0, id=rows[0].id, origin="google", known=True)
    return rows


def texts_of(picture: Picture) -> tuple[str | None, str | None]:
    """Return title and description as the manifest should have them."""
    if not picture.known:
        return None, None
    word = _WORDS[_shown(picture)][picture.number % 4]
    name = SYNSETS[_shown(picture)][1].split(",")[0]
    title = f"{name.title()} & {word} no. {picture.number}"
    silent = picture.origin == "flickr" and picture.number % 3 == 0
    return title, None if silent else f"A {name} <with> {word}, seen on day {picture.number}"


def _shown(picture: Picture) -> int:
    """Return what a picture shows: its class, and where it stands a second time still the first one."""
    return picture.label if picture.number else 0


def _entry(picture: Picture) -> dict[str, Any]:
    title, description = texts_of(picture)
    escaped = {"title": title, "description": description}
    entry: dict[str, Any] = {
        name: (text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        for name, text in escaped.items()
    }
    return {"id": picture.id, **entry} | ({"tags": "two words"} if picture.origin == "flickr" else {})


def _entry_of_1(picture: Picture) -> dict[str, Any]:
    return _entry(picture) | ({"tags": ["two", "words"]} if picture.origin == "flickr" else {})


def _write_original(folder: Path, pictures: list[Picture], version: Version) -> None:
    info, first = folder / "info", version == "1.0"
    names = ("google", "flickr") if first else ("",)
    for name in names:
        _lines(info / f"queries{'_' if name else ''}{name}.txt", (f"query number {query}" for query in range(1, 7)))
    _lines(info / "queries_synsets_map.txt", (f"{query} {(query + 1) // 2}" for query in range(1, 7)))
    path = "{0.origin}/q{0.query:04d}/{0.id}.jpg".format
    chosen: dict[str, Callable[[Picture], bool]] = {
        "all": lambda _: True,
        "google": lambda picture: picture.origin == "google",
        "flickr": lambda picture: picture.origin == "flickr",
    }
    if first:
        places = _write_arrays(folder, pictures, "{origin}_json", _entry_of_1)
    else:
        _write_arrays(folder, [picture for picture in pictures if picture.known], "{origin}", _entry)
    for name, keep in chosen.items():
        kept = [picture for picture in pictures if keep(picture)]
        _lines(info / f"train_filelist_{name}.txt", (f"{path(picture)} {picture.label}" for picture in kept))
        if first:
            _lines(info / f"train_meta_list_{name}.txt", (places[picture] for picture in kept))
    for picture in pictures:
        paint(folder / path(picture), picture.number, [_shown(picture)])
    _write_official(folder / ("val_images_256" if first else "val_images_resized"), info / "val_filelist.txt")


def _write_reorganised(folder: Path, pictures: list[Picture]) -> None:
    (folder / "meta").mkdir()
    _lines(folder / "meta" / "synsets.txt", (wnid for wnid, _, _ in SYNSETS))
    names = [f"{picture.wnid}/{picture.id}.jpg {picture.label}" for picture in pictures]
    _lines(folder / "meta" / "train.txt", names)
    for picture in pictures:
        paint(folder / "train" / picture.wnid / f"{picture.id}.jpg", picture.number, [_shown(picture)])
    _write_official(folder / "val", folder / "meta" / "val.txt")


def _write_beside(folder: Path, pictures: list[Picture]) -> None:
    for picture in pictures:
        if picture.known:
            path = folder / "train" / picture.wnid / picture.id
            path.write_text(json.dumps(_entry(picture)), encoding="utf-8")


def _write_arrays(
    folder: Path, pictures: list[Picture], below: str, entry: Callable[[Picture], dict[str, Any]]
) -> dict[Picture, str]:
    """Write one JSON array per origin and query; return for each picture the line of a list of metadata."""
    arrays: dict[tuple[str, int], list[dict[str, Any]]] = {}
    places: dict[Picture, str] = {}
    for picture in pictures:
        array = arrays.setdefault((picture.origin, picture.query), [])
        array.append(entry(picture))
        places[picture] = f"{picture.origin}/q{picture.query:04d}.json {len(array)}"
    for (origin, query), array in arrays.items():
        path = folder / below.format(origin=origin) / f"q{query:04d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(array), encoding="utf-8")
    return places


def _write_official(images: Path, listed: Path) -> None:
    rows = [(f"val{number:06d}.jpg", number % len(SYNSETS)) for number in range(1, OFFICIAL * len(SYNSETS) + 1)]
    for number, (name, label) in enumerate(rows, start=1000):
        paint(images / name, number, [label])
    _lines(listed, (f"{name} {label}" for name, label in rows))


def _lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
