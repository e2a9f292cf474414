"""How a description becomes words for `w2v`, in fitting and in encoding alike; docs/systems/encoders.md#w2v."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.weights import files_digest

_STOP_WORDS = Path(__file__).with_name("stop_words.txt")
_BRACKETED = re.compile(r"\[[0-9]*\]")
_DIGITS = re.compile(r"\d")
# A word, the end of a contraction such as 's and 't, or one sign of punctuation.
_TOKEN = re.compile(r"\w+|'\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Return the words and signs of a text in their order, lower-case, without numbers and English stop words.

    Numbers in square brackets are dropped and digits are blanks; "it's" is two words, both of them stop words here.
    """
    lower = _BRACKETED.sub("", normalise_text(text)).lower().replace("\u2019", "'")
    return [word for word in _TOKEN.findall(_DIGITS.sub(" ", lower)) if word not in stop_words()]


@cache
def stop_words() -> frozenset[str]:
    """Return the words that say nothing about a subject, from the list beside this file."""
    lines = _STOP_WORDS.read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def words_identity() -> dict[str, str]:
    """Return for a fingerprint what decides the words of a text."""
    return {"text_rule": TEXT_RULE, "tokens": "lower-words-signs", "stop_words": files_digest([_STOP_WORDS])}
