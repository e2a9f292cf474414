"""The source `scenes`, the embedded default: a COCO-like data set; `composing` draws it, `captions` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from stages.items import Item, ManifestInfo
from stages.prepare.ordered import map_in_order
from stages.prepare.params import PrepareParams
from stages.prepare.sources.captions import caption
from stages.prepare.sources.composing import choose_glyphs, compose
from stages.prepare.sources.protocol import Folders, Reject
from stages.prepare.sources.vocabulary import Glyph, read_vocabulary

_META = ("image_id", "file_name", "category_ids", "categories", "super_categories")


class SceneSource:
    """Draws scene after scene; scene i depends on the seed and on i alone, so a data set grows without changing.

    Parameters
    ----------
    params : PrepareParams
        `path` names the vocabulary.
    folders : Folders
        The pictures are written to `images/` in the workspace.

    Raises
    ------
    InputError
        When the vocabulary is wrong.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:
        self._params = params.scenes
        self._seed = params.seed
        self._where = params.path
        self._vocabulary = read_vocabulary(Path(params.path))
        self.files = (Path(params.path),)
        self.images = folders.workspace
        self.expected = min(params.scenes.items, params.limit or params.scenes.items)
        self.notes: tuple[str, ...] = ()
        self.info = ManifestInfo(
            source="scenes",
            root=str(folders.final),
            task="multilabel",
            classes=self._vocabulary.classes,
            super_classes=self._vocabulary.super_classes,
            fields=("caption",),
            meta=_META,
        )

    def items(self) -> Iterator[Item | Reject]:
        """Draw the scenes, writing each picture before its item is yielded."""
        (self.images / "images").mkdir()
        yield from map_in_order(self._scene, range(self.expected))

    def _scene(self, number: int) -> Item:
        random = Random(f"diptych/scenes/{self._seed}/{number}")  # noqa: S311 (pictures, not secrets)
        glyphs = choose_glyphs(self._vocabulary, self._params, random)
        picture, background = compose(glyphs, self._params, random)
        told = caption(self._vocabulary, glyphs, background, self._params, random)
        identity = f"{number:06d}"
        file_name = f"images/{identity}.jpg"
        picture.save(self.images / file_name, quality=self._params.quality)
        labels = self._labels(glyphs)
        meta = {"image_id": identity, "file_name": file_name, **self._columns(labels)}
        return Item(
            identity, file_name, {"caption": told}, labels, None, identity, None, meta, f"{self._where}#{number}"
        )

    def _labels(self, glyphs: list[Glyph]) -> tuple[str, ...]:
        return tuple(self._vocabulary.classes[position] for position in sorted({glyph.category for glyph in glyphs}))

    def _columns(self, labels: tuple[str, ...]) -> dict[str, str]:
        """Return the columns that a table of COCO captions and instances has; category ids count from 1, as there."""
        classes, super_classes = self._vocabulary.classes, self._vocabulary.super_classes
        return {
            "category_ids": "|".join(str(classes.index(label) + 1) for label in labels),
            "categories": "|".join(labels),
            "super_categories": "|".join(dict.fromkeys(super_classes[label] for label in labels)),
        }
