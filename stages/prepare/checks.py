"""Tries one item: its picture is read, keyed and decoded, or the item is rejected; `parallel` tries many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from stages.models.encoders.image.decoding import UndecodableImage, decode
from stages.prepare.sources.protocol import Reason, Reject, Skip
from store.errors import InputError
from store.files.reading import read_regular_file, resolve_below
from store.items.keys import image_key
from store.items.records import Item

_COLUMNS, _ROWS = 9, 8
_SAMPLES = 8  # along each side of a cell: sampling costs the same for every size of picture
_MARGIN = 2  # grey levels; less is the noise of JPEG on even ground


def difference_hash(image: Image.Image) -> int:
    """Hash a picture by whether it gets brighter from left to right, at 8 x 8 places.

    The difference hash (dHash) of 9 x 8 mean grey values, each over an even sample of its cell; a cell must be brighter
    than its left neighbour by more than two grey levels to set its bit. Copies that were compressed, scaled or slightly
    recoloured differ in a few bits, other pictures in about half of them. A flat picture has no bit set.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode "RGB", of any size.

    Returns
    -------
    int
        64 bits, row by row, the first one highest.
    """
    sampled = image.resize((_COLUMNS * _SAMPLES, _ROWS * _SAMPLES), Image.Resampling.NEAREST)
    grey = sampled.convert("L").reduce(_SAMPLES).tobytes()
    cells = np.frombuffer(grey, np.uint8).reshape(_ROWS, _COLUMNS).astype(np.int16)  # [8, 9]
    brighter = cells[:, 1:] - cells[:, :-1] > _MARGIN  # [8, 8]
    return int.from_bytes(np.packbits(brighter).tobytes(), "big")


_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".jp2")


Row = Item | Reject | Skip


class Checked(NamedTuple):
    """An item that every later stage can rely on; of a picture what `Seen` tells."""

    item: Item
    image_key: bytes | None
    animated: bool
    dhash: int | None
    size: tuple[int, int] | None = None
    mode: str = ""
    profile: str = ""


class Seen(NamedTuple):
    """What a picture is: its key, its frames, its hash, its size upright, its mode, a profile that is not sRGB."""

    key: bytes
    animated: bool
    dhash: int
    size: tuple[int, int]
    mode: str
    profile: str


def checker(images: Path) -> Callable[[Row], Checked | Reject | Skip]:
    """Make the check of one row, for pictures below `images`; what the source left out passes through."""

    def check(row: Row) -> Checked | Reject | Skip:
        if isinstance(row, Reject | Skip):
            return row
        field = _unspeakable(row)
        if field:
            return _reject(row, "bad-text", f"its {field} holds half of a surrogate pair, which is no text")
        if row.image is None:
            return _check_words(row)
        return _check_picture(row, row.image, images)

    return check


def _unspeakable(item: Item) -> str:
    """Return the first field that has no UTF-8 form (JSON can spell half of a surrogate pair), or ""."""
    for field, text in _spoken(item):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            return field
    return ""


def _spoken(item: Item) -> Iterator[tuple[str, str | None]]:
    yield from (("id", item.id), ("image", item.image), ("group", item.group))
    yield from (("labels", label) for label in item.labels or ())
    yield from item.texts.items()
    yield from item.meta.items()


def _check_words(item: Item) -> Checked | Reject:
    if any(text is not None for text in item.texts.values()):
        return Checked(item, None, animated=False, dhash=None)
    return _reject(item, "no-content", "neither a picture nor a text")


def _check_picture(item: Item, image: str, images: Path) -> Checked | Reject:
    try:
        path = resolve_below(images, image)
    except InputError as error:
        return _reject(item, "unsafe-path", str(error))
    try:
        return checked(item, look(path))
    except FileNotFoundError:
        return _reject(item, "missing-image", f"no file {image!r} below {images}{_beside(path)}")
    except (InputError, UndecodableImage) as error:
        return _reject(item, "unreadable-image", f"{image!r}: {error}")
    except OSError as error:
        return _reject(item, "unreadable-image", f"{image!r}: {error.strerror}")


def look(path: Path) -> Seen:
    """Read one picture, key it and decode it.

    Raises
    ------
    InputError, UndecodableImage, OSError
        When it is no regular file, no picture, or cannot be read.
    """
    encoded = read_regular_file(path)
    decoded = decode(encoded)
    image = decoded.image
    dhash = difference_hash(image)
    return Seen(image_key(encoded), decoded.animated, dhash, image.size, decoded.mode, decoded.profile)


def checked(item: Item, seen: Seen) -> Checked:
    """Put an item and its picture together."""
    return Checked(item, seen.key, seen.animated, seen.dhash, seen.size, seen.mode, seen.profile)


def picture_of(row: Row) -> str | None:
    """Return the picture that must be looked at before the row is known to be good; None without one."""
    return row.image if isinstance(row, Item) and not _unspeakable(row) else None


def _beside(path: Path) -> str:
    """Tell of a picture whose name has an ending more than was asked for."""
    try:
        ending = next((each for each in _ENDINGS if path.with_name(path.name + each).is_file()), "")
    except OSError:  # a name that is long enough already
        return ""
    return f", but one that ends in {ending} besides" if ending else ""


def _reject(item: Item, reason: Reason, detail: str) -> Reject:
    return Reject(item.id, item.where, reason, detail)
