"""What `diptych search` found, as one self-contained page with pictures, through `search.html.j2`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.search import Found
from pipeline.search_output import headline
from stages.errors import InputError
from stages.outputs import write_text
from stages.report.cards import Cards
from stages.report.thumbnails import Thumbnails, thumbnail
from store.backend import printable

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
