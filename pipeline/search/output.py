"""What `diptych search` found: a table for people, JSON for programs, one self-contained page with pictures."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.journal.console import PlainTable, out
from pipeline.search.nearest import Found, Hit
from stages.report.read.cards import Cards, Thumbnails, thumbnail
from store.errors import InputError
from store.files.outputs import write_text
from store.files.reading import printable

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


MAX_BYTES = 10_000_000


def write_page(path: Path, found: Found) -> None:
    """Write the page whole or not at all.

    Raises
    ------
    InputError
        When so many pictures make it larger than 10 MB; nothing is overwritten then.
    """
    page = render(found)
    size = len(page.encode())
    if size > MAX_BYTES:
        raise InputError(
            f"--html: expected a page of at most {MAX_BYTES // 1_000_000} MB; found {size / 1e6:.1f} MB for "
            f"{len(found.hits)} items; lower -k."
        )
    write_text(path, page)


def render(found: Found) -> str:
    """Write the page as HTML: style and pictures inside, no script, nothing fetched from anywhere."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    request, manifest, query = found.request, found.vectors.manifest, found.vectors.query
    cards = Cards(manifest, Thumbnails(Path(manifest.info.root))).of([hit.row for hit in found.hits])
    style = (files("stages.report") / "templates/page.css").read_text(encoding="utf-8")
    return environment.get_template("search.html.j2").render(
        found=found,
        headline=headline(found),
        texts=query.texts,
        name="" if request.image is None else printable(request.image.name),
        picture=None if query.image is None else thumbnail(query.image),
        finds=list(zip(found.hits, cards, strict=True)),
        style=Markup(style),  # noqa: S704 (our own file)
    )
