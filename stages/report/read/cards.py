"""An item as the page shows it: picture, texts and labels; every gallery is made of such cards."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.models.encoders.image.decoding import UndecodableImage, load_image
from stages.report.words import number
from store.errors import InputError
from store.files.reading import read_regular_file, resolve_below
from store.items.manifest import Manifest

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


_TEXT_LENGTH = 1000
_SHORT_LENGTH = 140


@dataclass(frozen=True)
class Caption:
    """One text field of an item; None where it is missing."""

    field: str
    text: str | None

    @property
    def short(self) -> str | None:
        """Return the beginning of a long text, to be unfolded; None where it is not long."""
        if self.text is None or len(self.text) <= _SHORT_LENGTH:
            return None
        begin = self.text[:_SHORT_LENGTH]
        return begin.rpartition(" ")[0].rstrip() or begin


@dataclass(frozen=True)
class Card:
    """An item as the page shows it.

    Attributes
    ----------
    item : str
        Its id.
    picture : Picture or None
        None without a picture, or when it cannot be read.
    has_image : bool
        Whether the manifest names a picture.
    captions : tuple of Caption
        Its texts, cut when long.
    labels : tuple of str
        What is true of it; for a regression the true value.
    """

    item: str
    picture: Picture | None
    has_image: bool
    captions: tuple[Caption, ...]
    labels: tuple[str, ...]

    @property
    def alt(self) -> str:
        """What is read to those who cannot see the picture."""
        text = next((caption.text for caption in self.captions if caption.text), None)
        return f"Item {self.item}: {text[:140]}" if text else f"Item {self.item}, without a caption"


@dataclass(frozen=True)
class Cards:
    """Makes cards of items.

    Attributes
    ----------
    manifest : Manifest
        Texts, pictures and labels.
    thumbnails : Thumbnails
        The pictures.
    """

    manifest: Manifest
    thumbnails: Thumbnails

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all items, in the order of the manifest."""
        return self.manifest.ids()

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """The labels of all items, bool [N, K]."""
        return self.manifest.label_matrix()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.ids)}

    def rows(self, ids: Sequence[str], origin: str) -> NDArray[np.int64]:
        """Find items in the manifest.

        Raises
        ------
        InputError
            When the manifest lacks one: the file at `origin` was made from another manifest.
        """
        lost = [item for item in ids if item not in self._places]
        if lost:
            raise InputError(
                f"expected items of {self.manifest.path} in {origin}, found {lost[0]!r} and {len(lost) - 1} more that "
                "are not; run `dvc repro` so that both come from one manifest"
            )
        return np.array([self._places[item] for item in ids], np.int64)

    def of(self, rows: Sequence[int] | NDArray[np.int64]) -> list[Card]:
        """Make the cards of some rows of the manifest."""
        chosen = np.asarray(rows, np.int64)
        images = self.manifest.images(chosen)
        texts = {name: self.manifest.texts(name, chosen) for name in self.manifest.info.fields}
        return [
            Card(
                item=self.ids[row],
                picture=self.thumbnails.get(images[place]),
                has_image=images[place] is not None,
                captions=tuple(Caption(name, _cut(values[place])) for name, values in texts.items()),
                labels=self._labels(int(row)),
            )
            for place, row in enumerate(chosen)
        ]

    def _labels(self, row: int) -> tuple[str, ...]:
        if self.manifest.info.task == "regression":
            return (number(float(self.manifest.targets()[row])),)
        return tuple(self.manifest.info.classes[int(column)] for column in np.flatnonzero(self.truth[row]))


def _cut(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"
