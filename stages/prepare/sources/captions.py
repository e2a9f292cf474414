"""Tells a scene in a sentence that is partly silent, vague or wrong, as people's captions are; called by `scenes`."""

from __future__ import annotations

from random import Random

from stages.prepare.params import ScenesParams
from stages.prepare.sources.vocabulary import Glyph, Vocabulary

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
