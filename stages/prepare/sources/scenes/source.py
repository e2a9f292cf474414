"""The source `scenes`, the embedded default: a COCO-like data set; `pictures` draws it, this file tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from stages.prepare.parallel import map_in_order
from stages.prepare.params import PrepareParams, ScenesParams
from stages.prepare.sources.protocol import Folders, Reject
from stages.prepare.sources.scenes.pictures import choose_glyphs, compose
from stages.prepare.sources.scenes.vocabulary import Glyph, Vocabulary, read_vocabulary
from store.items.records import Item, ManifestInfo

_BY_KEYWORD = 0.15
_BY_CATEGORY = 0.1
_BY_SUPER_CATEGORY = 0.05


def caption(
    vocabulary: Vocabulary, glyphs: list[Glyph], background: str, params: ScenesParams, random: Random
) -> str | None:
    """Write the caption of a picture.

    Parameters
    ----------
    vocabulary : Vocabulary
        Words and templates.
    glyphs : list of Glyph
        What the picture shows.
    background : str
        What its background looks like.
    params : ScenesParams
        How often an object is named, something wrong is named, and nothing is said.
    random : Random
        The source of chance of this picture.

    Returns
    -------
    str or None
        English, or None where nobody wrote a caption.
    """
    if random.random() < params.silent:
        return None
    things = [_thing(vocabulary, glyph, random) for glyph in glyphs if random.random() < params.named]
    if random.random() < params.wrong:
        things.append(_thing(vocabulary, random.choice(vocabulary.glyphs), random))
    random.shuffle(things)
    templates = vocabulary.named if things else vocabulary.unnamed
    sentence = random.choice(templates).format(things=_listed(things), background=background)
    return sentence[0].upper() + sentence[1:]


def _thing(vocabulary: Vocabulary, glyph: Glyph, random: Random) -> str:
    """Call an object by its name, or more loosely."""
    chance = random.random()
    if chance < _BY_SUPER_CATEGORY:
        super_class = vocabulary.super_classes[vocabulary.classes[glyph.category]]
        return _with_article(random.choice(vocabulary.super_words[super_class]))
    if chance < _BY_SUPER_CATEGORY + _BY_CATEGORY:
        return _with_article(random.choice(vocabulary.words[glyph.category]))
    if chance < _BY_SUPER_CATEGORY + _BY_CATEGORY + _BY_KEYWORD and glyph.keywords:
        return f"something to do with {random.choice(glyph.keywords)}"
    return _with_article(glyph.name)


def _with_article(noun: str) -> str:
    if noun.endswith("s") and not noun.endswith(("ss", "us")):
        return f"some {noun}"
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _listed(things: list[str]) -> str:
    """Join as English does: one; one and two; one, two and three."""
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} and {things[-1]}"


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
