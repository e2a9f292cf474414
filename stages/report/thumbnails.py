"""Small pictures inside the page: opens the items' images safely and returns them as data; used by the galleries."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from stages.encoders.decoding import UndecodableImage, load_image
from stages.errors import InputError
from stages.items import read_regular_file, resolve_below

SIDE = 192
_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """A picture as the page shows it.

    Attributes
    ----------
    uri : str
        A JPEG as a data URI.
    width, height : int
        Its size in pixels.
    """

    uri: str
    width: int
    height: int


@dataclass
class Thumbnails:
    """Makes thumbnails and remembers them, since one item may stand in several galleries.

    Attributes
    ----------
    root : Path
        The folder below which all pictures lie.
    unreadable : set of str
        The relative paths that were asked for and could not be shown.
    """

    root: Path
    unreadable: set[str] = field(default_factory=set)
    _made: dict[str, Picture | None] = field(default_factory=dict)

    def get(self, relative: str | None) -> Picture | None:
        """Return the thumbnail of a picture, None where there is no picture or it cannot be read."""
        if relative is None:
            return None
        if relative not in self._made:
            self._made[relative] = self._make(relative)
        return self._made[relative]

    def _make(self, relative: str) -> Picture | None:
        try:
            return thumbnail(read_regular_file(resolve_below(self.root, relative)))
        except (OSError, InputError, UndecodableImage):
            # A picture that went away since `prepare` must not cost the whole report: the page says that it is gone.
            self.unreadable.add(relative)
            return None


def thumbnail(encoded: bytes) -> Picture:
    """Make the thumbnail of a picture file's bytes.

    Raises
    ------
    UndecodableImage
        When they are no picture.
    """
    image = load_image(encoded)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY, optimize=True)
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}", *image.size)
