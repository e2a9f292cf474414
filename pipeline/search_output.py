"""What `diptych search` found, as a table for people and as JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.console import out
from pipeline.search import Found, Hit
from pipeline.tables import PlainTable
from stages.errors import InputError
from store.backend import printable

_TEXT_LENGTH = 60


def check_place(path: Path | None, image: Path | None) -> None:
    """Refuse a place for the page before anything is computed.

    Raises
    ------
    InputError
        When it is a folder, in none, or the query's picture itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"--html: expected a file to write; found the folder {path}; name a file in it.")
    if not path.parent.is_dir():
        raise InputError(f"--html: expected a file in a folder; found no folder {path.parent}; make it first.")
    if image is not None and path.resolve() == image.resolve():
        raise InputError(f"--html: expected a file of its own; found the query's picture {path}; name another.")


def headline(found: Found) -> str:
    """Say in one line who ranked what."""
    part = "" if found.request.part == "all" else f" of {found.request.part}"
    left = f", {found.gallery.left_out:,} without the input left out" if found.gallery.left_out else ""
    searched = f"{len(found.gallery.items):,} items{part}{left}"
    return f"system {found.system}: {' + '.join(found.features)}, head {found.head}, over {searched}"


def as_json(found: Found) -> dict[str, Any]:
    """Return plain values: equal inputs give equal ones, so without seconds."""
    request = found.request
    return {
        "system": found.system,
        "head": found.head,
        "features": found.features,
        "query": {
            "image": None if request.image is None else printable(str(request.image)),
            **found.vectors.query.texts,
        },
        "part": request.part,
        "gallery": len(found.gallery.items),
        "without_input": found.gallery.left_out,
        "notes": found.notes,
        "hits": [_plain(hit) for hit in found.hits],
    }


def _plain(hit: Hit) -> dict[str, Any]:
    names = ("rank", "id", "distance", "labels", "texts", "image")
    return {name: getattr(hit, name) for name in names}


def print_found(found: Found) -> None:
    """Print who ranked, the table and how long it took."""
    out.print(f"search: {headline(found)}", markup=False)
    for note in found.notes:
        out.print(f"search: {printable(note)}", markup=False)
    fields = list(found.vectors.manifest.info.fields)
    table = PlainTable("rank", "distance", "id", "labels", *fields, "picture")
    for hit in found.hits:
        texts = [_cut(hit.texts[name]) for name in fields]
        labels = _cut(", ".join(hit.labels))
        cells = [str(hit.rank), f"{hit.distance:.4f}", hit.id, labels, *texts, hit.image or ""]
        table.add_row(*(printable(cell) for cell in cells))
    out.print(table)
    spent = " and ".join(f"{what} {seconds:.2f} s" for what, seconds in found.seconds.items())
    out.print(f"search: {spent}", markup=False)


def _cut(text: str | None) -> str:
    said = " ".join((text or "").split())
    return said if len(said) <= _TEXT_LENGTH else f"{said[: _TEXT_LENGTH - 1]}…"
