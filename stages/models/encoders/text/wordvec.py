"""Word vectors from a GloVe or fastText file, and their mean (`wordvec`); docs/systems/encoders.md#wordvec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from stages.models.encoders.catalog.row import RANDOM
from stages.models.encoders.protocol import Part, Placement, Rows, Runtime, Simple, ZeroRows, row_width
from stages.models.encoders.text.hashing import BUCKETS, SeededWeights, buckets
from stages.models.encoders.text.tokens import TEXT_RULE, normalise_text
from stages.models.encoders.text.vector_files import WORD, WordVectors, is_binary, read_dim, read_vectors
from stages.models.encoders.weights import files_digest, resolve_model
from store.errors import InputError

_CODE_VERSION = 1
_RANDOM_DIM = 300
_LARGEST_BATCH = 2**23  # numbers: 32 MB


class WordVectorText(Simple):
    """The mean of the known words' vectors, and the vectors of all words in their order, unknown ones as zeros.

    A text in which no word is known has no vector: it counts as absent.

    Parameters
    ----------
    model : str
        File of vectors, see `read_vectors` and `resolve_model`; or `random`.
    seed : int
        Of random vectors.
    max_len : int
        Words kept; the head of a longer text is kept.
    tokens : bool
        Whether a row holds the words' own vectors besides the mean.
    """

    window = 4096
    chunk = 256
    zero_rows: ZeroRows = "absent"

    def __init__(self, model: str, seed: int, max_len: int, *, tokens: bool) -> None:
        self.model, self.seed, self.max_len, self.tokens = model, seed, max_len, tokens
        self.path = None if model == RANDOM else resolve_model(model)
        if self.path is not None and not self.path.is_file():
            raise InputError(
                f"model: expected a file of word vectors; found the folder {model!r}; name the file in it."
            )
        self.width = _RANDOM_DIM if self.path is None else read_dim(self.path)
        self.dim = row_width(self.parts)
        self.budget = max(1, min(256, _LARGEST_BATCH // self.dim))
        self._counts: Counter[str] = Counter()

    @property
    def parts(self) -> Sequence[Part]:
        """The mean, and the words' vectors, of which only the first may be filled."""
        words = Part("tokens", (self.max_len, self.width), counted=True)
        return (Part("vectors", (self.width,)), *([words] if self.tokens else []))

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the vectors by content, the tokeniser, and every choice above."""
        return {
            "family": "wordvec",
            **self._source(),
            "tokenizer": {"lower": True, "word": WORD.pattern},
            "pool": "mean of known words",
            "unknown": "zeros",
            "max_len": self.max_len,
            "truncation": "head",
            "tokens": self.tokens,
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def _source(self) -> dict[str, Any]:
        if self.path is None:
            return {"weights": RANDOM, "seed": self.seed, "table": [BUCKETS, _RANDOM_DIM]}
        reader = {"gensim": version("gensim").partition(".")[0]} if is_binary(self.path) else {}
        return {"weights": files_digest([self.path]), **reader}

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy runs on the processor only)
        """Read the file into memory; it stays on the processor whatever the placement."""
        self._vectors = _Random(self.seed) if self.path is None else read_vectors(self.path)
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[list[str]]:
        """Return the lower-case words of each text, one more than are kept when there are more."""
        return [_words(raw, self.max_len + 1) for raw in raws]

    def encode(self, batch: Sequence[list[str]]) -> Rows:
        """Return the rows [n, dim]: the mean [D], then the words' vectors [max_len, D] and their number."""
        rows = np.zeros((len(batch), self.dim), dtype=np.float32)
        for row, words in zip(rows, batch, strict=True):
            kept = words[: self.max_len]
            found = [self._vectors.find(word) for word in kept]
            known = [vector for vector in found if vector is not None]
            if known:
                row[: self.width] = np.mean(known, axis=0)
            if self.tokens:
                self._fill_tokens(row[self.width :], found)
            self._counts.update(tokens=len(kept), oov_tokens=len(kept) - len(known), truncated=len(words) > len(kept))
        return rows

    def _fill_tokens(self, part: Rows, found: Sequence[Rows | None]) -> None:
        places = part[:-1].reshape(self.max_len, self.width)
        for place, vector in zip(places, found, strict=False):
            if vector is not None:
                place[:] = vector
        part[-1] = len(found)

    def notes(self) -> Mapping[str, int]:
        """Return how many words were encoded, how many of them are unknown, and how many texts were cut."""
        return {name: self._counts[name] for name in ("tokens", "oov_tokens", "truncated")}


def _words(raw: str, most: int) -> list[str]:
    found = WORD.finditer(normalise_text(raw).lower())
    return [match.group() for match, _ in zip(found, range(most), strict=False)]


class _Random(WordVectors):
    """Seeded vectors of hashed words; no word is unknown."""

    def __init__(self, seed: int) -> None:
        self._table = SeededWeights(seed).take(BUCKETS, _RANDOM_DIM)

    def find(self, word: str) -> Rows | None:
        vector: Rows = self._table[buckets([word])[0]]
        return vector
