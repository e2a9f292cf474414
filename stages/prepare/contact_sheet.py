"""Draws some items side by side, each with its picture, its texts and its labels; `preview` asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from stages.encoders.decoding import UndecodableImage, load_image
from stages.errors import InputError
from stages.items import Item, read_regular_file, resolve_below

COLUMNS = 6
_TILE, _GAP, _LINE = 210, 14, 17
_PICTURE = 150
_TEXT_LINES = {True: 5, False: 10}  # with pictures; without any
_LABEL_LINES = 2
_INK, _FAINT, _BLUE, _PAPER, _BOX = "#222222", "#8a8a8a", "#1d5b8f", "#ffffff", "#eeeeee"
_UNKNOWN = "\U0010ffff"


@dataclass(frozen=True)
class Sheet:
    """A sheet that has been drawn.

    Attributes
    ----------
    image : PIL.Image.Image
        The picture.
    boxes : str
        The signs of the texts that the font has no shape for: a box stands for each.
    """

    image: Image.Image
    boxes: str


def draw_sheet(items: Sequence[Item], images: Path) -> Sheet:
    """Draw a contact sheet.

    Parameters
    ----------
    items : sequence of Item
        What is shown, in rows of six.
    images : Path
        The folder below which the pictures lie.

    Returns
    -------
    Sheet
        Pictures fitted into their tiles, texts cut to a few lines; what an item lacks is said in grey.
    """
    with_pictures = any(item.image is not None for item in items)
    pen = _Pen()
    tiles = [_Tile(item, tuple(_written(item, _TEXT_LINES[with_pictures], pen))) for item in items]
    rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    above = _PICTURE + 4 if with_pictures else 0
    heights = [above + max(len(tile.lines) for tile in row) * _LINE + _GAP for row in rows]
    sheet = Image.new("RGB", (COLUMNS * (_TILE + _GAP) + _GAP, sum(heights) + 2 * _GAP), _PAPER)
    pen.draw = ImageDraw.Draw(sheet)
    for row, top in zip(rows, accumulate(heights, initial=_GAP), strict=False):
        for column, tile in enumerate(row):
            left = _GAP + column * (_TILE + _GAP)
            if with_pictures:
                _place_picture(sheet, pen, tile.item, images, (left, top))
            for number, (text, color) in enumerate(tile.lines):
                pen.write((left, top + above + number * _LINE), text, color)
    return Sheet(sheet, "".join(sorted(pen.lacking)))


class _Tile(NamedTuple):
    """An item with the lines below its picture, each in its colour."""

    item: Item
    lines: tuple[tuple[str, str], ...]


class _Pen:
    """Writes in DejaVu Sans, which the charts of the report use too, and notes what it has no shape for."""

    def __init__(self) -> None:
        import matplotlib as mpl  # slow, and only the preview needs its font

        self.draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))  # until the size of the sheet is known
        self.lacking: set[str] = set()
        self._font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 12)
        self._box = bytes(self._font.getmask(_UNKNOWN))

    def write(self, place: tuple[int, int], text: str, color: str) -> None:
        """Write one line."""
        self.draw.text(place, text, fill=color, font=self._font)
        self.lacking.update(
            sign for sign in set(text) if not sign.isascii() and bytes(self._font.getmask(sign)) == self._box
        )

    def fits(self, text: str) -> bool:
        """Tell whether a line fits into a tile."""
        return self._font.getlength(text) <= _TILE

    def wrapped(self, text: str, most: int) -> list[str]:
        """Break a text into lines that fit, at most so many; an ellipsis ends what was cut."""
        lines: list[str] = []
        rest = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        while rest and len(lines) < most:
            line = self._line(rest)
            rest = rest[len(line) :].lstrip()
            lines.append(line.rstrip())
        if rest:
            lines[-1] = self._shortened(lines[-1])
        return lines

    def _line(self, text: str) -> str:
        """Return as much of the text as fits, up to a blank where there is one."""
        length = next((at for at in range(1, len(text) + 1) if not self.fits(text[:at])), len(text) + 1) - 1
        if length >= len(text):
            return text
        blank = text.rfind(" ", 0, length + 1)
        return text[: blank if blank > 0 else max(1, length)]

    def _shortened(self, line: str) -> str:
        while line and not self.fits(f"{line}…"):
            line = line[:-1]
        return f"{line}…"


def _written(item: Item, most: int, pen: _Pen) -> Iterator[tuple[str, str]]:
    """Yield the lines below a picture: id, texts, labels or target."""
    yield pen.wrapped(f"{item.id} ", 1)[0] if item.id.strip() else "", _FAINT
    named = len(item.texts) > 1
    each = max(1, most // max(1, len(item.texts)))
    for name, text in item.texts.items():
        if text is None:
            yield f"no {name}", _FAINT
        else:
            yield from ((line, _INK) for line in pen.wrapped(f"{name}: {text}" if named else text, each))
    if item.target is not None:
        yield f"target {item.target:g}", _BLUE
    elif item.labels:
        yield from ((line, _BLUE) for line in pen.wrapped(" · ".join(item.labels), _LABEL_LINES))
    else:
        yield "no label" if item.labels is None else "none of the classes", _FAINT


def _place_picture(sheet: Image.Image, pen: _Pen, item: Item, images: Path, corner: tuple[int, int]) -> None:
    left, top = corner
    picture = _thumbnail(item, images)
    if picture is None:
        pen.draw.rectangle((left, top, left + _TILE, top + _PICTURE), fill=_BOX)
        pen.write((left + 8, top + 8), "no picture", _FAINT)
        return
    sheet.paste(picture, (left + (_TILE - picture.width) // 2, top + (_PICTURE - picture.height) // 2))


def _thumbnail(item: Item, images: Path) -> Image.Image | None:
    if item.image is None:
        return None
    try:
        picture = load_image(read_regular_file(resolve_below(images, item.image)), draft=(2 * _TILE, 2 * _PICTURE))
    except (OSError, InputError, UndecodableImage):
        return None  # it was there a moment ago: somebody is changing the folder, and the sheet is only for a look
    picture.thumbnail((_TILE, _PICTURE), Image.Resampling.LANCZOS)
    return picture
