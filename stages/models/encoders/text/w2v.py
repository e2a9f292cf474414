"""The mean word vector (`w2v`) by words that `fit` learnt from train; docs/systems/encoders.md#w2v."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple, ZeroRows
from stages.models.encoders.text.tokens import TEXT_RULE, normalise_text
from stages.models.encoders.weights import files_digest

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


WORDS, VECTORS = "words.json", "vectors.safetensors"
_UNKNOWN = -1
_CODE_VERSION = 1


class WordVectors(Simple):
    """The mean of the vectors of a text's known words; a text without any has the zero vector, and counts as absent.

    Parameters
    ----------
    folder : Path
        What `fit` wrote.
    """

    zero_rows: ZeroRows = "absent"
    budget = 4096
    window = 16_384
    chunk = 256

    def __init__(self, folder: Path) -> None:
        self.artefact = Artefact.open(folder, "w2v")
        self.dim = int(self.artefact.options["vector_size"])
        self._counts: Counter[str] = Counter()

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: what was fitted, and how a text becomes words."""
        fitted = dict(self.artefact.identity())
        return {"family": "w2v", "fitted": fitted, **words_identity(), "pool": "mean", "code_version": _CODE_VERSION}

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy runs on the processor only)
        """Load the words and their vectors [V, D]."""
        words = json.loads((self.artefact.folder / WORDS).read_text("utf-8"))
        self._rows = {word: row for row, word in enumerate(words)}
        self._vectors = load_file(self.artefact.folder / VECTORS)["vectors"].astype(np.float64)
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[list[int]]:
        """Return for each word of each text its row of the matrix, -1 for an unknown one."""
        return [[self._rows.get(word, _UNKNOWN) for word in words_of(raw)] for raw in raws]

    def encode(self, batch: Sequence[list[int]]) -> Rows:
        """Return the mean vectors [n, D]."""
        known = [[row for row in rows if row != _UNKNOWN] for rows in batch]
        tokens = sum(len(rows) for rows in batch)
        self._counts.update(tokens=tokens, oov_tokens=tokens - sum(len(rows) for rows in known))
        return np.stack([self._mean(rows) for rows in known])

    def _mean(self, rows: list[int]) -> Rows:
        """Average in one order whatever the order of the words, so that the order does not matter to the last bit."""
        if not rows:
            return np.zeros(self.dim, np.float32)
        found, counts = np.unique(rows, return_counts=True)
        mean: Rows = ((counts @ self._vectors[found]) / len(rows)).astype(np.float32)
        return mean

    def notes(self) -> Mapping[str, int]:
        """Return how many words were encoded, and how many of them are unknown."""
        return {name: self._counts[name] for name in ("tokens", "oov_tokens")}
