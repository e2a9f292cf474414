"""Shows some items side by side, each with its picture, its texts and its labels, as a page; `preview` asks for it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from stages.encoders.decoding import UndecodableImage, load_image
from stages.errors import InputError
from stages.items import Item, read_regular_file, resolve_below

_SIDE = 240
_QUALITY = 80
_LETTERS = 300


def sheet_page(items: Sequence[Item], images: Path) -> str:
    """Write a contact sheet as HTML: style and pictures inside, no script, nothing fetched from anywhere.

    Parameters
    ----------
    items : sequence of Item
        What is shown, in this order; of a long text the first 300 letters.
    images : Path
        The folder below which the pictures lie.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("contact_sheet.html.j2").render(
        tiles=[(item, _thumbnail(item, images)) for item in items],
        pictures=any(item.image is not None for item in items),
        most=_LETTERS,
    )


def _thumbnail(item: Item, images: Path) -> str | None:
    """Return a small picture as a data URI; None without one."""
    if item.image is None:
        return None
    try:
        picture = load_image(read_regular_file(resolve_below(images, item.image)), draft=(2 * _SIDE, 2 * _SIDE))
    except (OSError, InputError, UndecodableImage):
        return None  # it was there a moment ago: somebody is changing the folder, and the sheet is only for a look
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
