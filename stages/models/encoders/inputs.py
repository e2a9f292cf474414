"""What an encoder reads of each item: a text field, the picture, or both as a pair; `fit` and `embed` ask it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.catalog.row import Kind
from stages.models.encoders.protocol import Raw
from store import content_key
from store.items.keys import KEY_BYTES
from store.items.manifest import Manifest, contents_digest
from store.items.pictures import read_picture
from store.items.records import IMAGE

Rows = NDArray[np.int64]
JOINED = " + "
"""Stands between the fields of a pair where they are named in one word."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of one encoder in a manifest.

    Attributes
    ----------
    manifest : Manifest
    fields : tuple of str
        One field, or a text field and `image`: an item then has its input when it has both.
    """

    manifest: Manifest
    fields: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest, kind: Kind, field: str) -> Self:
        """Return what an encoder of this kind reads whose entry names this field."""
        return cls(manifest, (field, IMAGE) if kind == "pair" else (field,))

    @property
    def name(self) -> str:
        """The fields in one word, such as "caption + image"."""
        return JOINED.join(self.fields)

    def keys(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the content keys, uint8 [N, 32], zero where the input is missing, and where it is not, bool [N].

        The key of a pair is a digest of the keys of both, so that renamed and repeated pairs have one key.

        Raises
        ------
        InputError
            When the manifest has no such field.
        """
        if len(self.fields) == 1:
            return self.manifest.keys(self.fields[0])
        (texts, written), (pictures, shown) = (self.manifest.keys(field) for field in self.fields)
        present = written & shown
        keys = np.zeros((len(present), KEY_BYTES), np.uint8)
        for row in np.flatnonzero(present).tolist():
            both = content_key("pair", texts[row].tobytes() + pictures[row].tobytes())
            keys[row] = np.frombuffer(both, np.uint8)
        return keys, present

    def content_digest(self) -> str:
        """Digest the ordered ids and keys: all of the manifest that a matrix of these inputs depends on."""
        return contents_digest(self.manifest.ids(), *self.keys())

    def loader(self, rows: Rows) -> Callable[[int], Raw]:
        """Return a function from a position in `rows` to the raw item; -1 among the rows stands for the empty text.

        Texts and paths are read at once, so callers hand in bounded slices; pictures when they are asked for. The
        function may be called from threads, and raises `ItemError` for a picture that is no longer the one of the
        manifest.
        """
        if self.fields == (IMAGE,):
            return self._pictures(rows)
        texts = self._texts(rows)
        if len(self.fields) == 1:
            return texts.__getitem__
        picture = self._pictures(rows)
        return lambda item: (texts[item], picture(item))

    def _texts(self, rows: Rows) -> list[str]:
        found = iter(self.manifest.texts(self.fields[0], rows[rows >= 0]))
        return ["" if row < 0 else next(found) or "" for row in rows.tolist()]

    def _pictures(self, rows: Rows) -> Callable[[int], bytes]:
        paths, keys = self.manifest.images(rows), self._picture_keys[rows]
        root = Path(self.manifest.info.root)
        return lambda item: read_picture(root, paths[item] or "", keys[item])

    @cached_property
    def _picture_keys(self) -> NDArray[np.uint8]:
        return self.manifest.keys(IMAGE)[0]
