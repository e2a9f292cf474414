"""What text encoders share: the one rule for raw text, counts of unknown signs, texts to try a network on."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

TEXT_RULE: Literal["NFC"] = "NFC"
"""The one rule for raw text before any text encoder; its name is part of every text fingerprint."""


def normalise_text(text: str) -> str:
    """Return the text in Unicode normal form C; case, spaces and punctuation stay as they are."""
    return unicodedata.normalize(TEXT_RULE, text)


ODD_SIGN = "\ue000"
"""A text of one sign, for private use, that no vocabulary has: it tells the token of what is unknown."""


@runtime_checkable
class Tokenising(Protocol):
    """A text encoder whose tokens can be had without its weights."""

    def load_tokenizer(self) -> None:
        """Load what `prepare` needs."""

    def prepare(self, raws: Sequence[str]) -> list[list[int]]:
        """Return the token ids of some texts."""

    @property
    def unknown(self) -> UnknownTokens:
        """The counts over all texts that were prepared so far."""


class UnknownTokens:
    """How many texts hold tokens that stand for signs beyond the vocabulary; threads may count together.

    Parameters
    ----------
    token : int or None
        The id that stands for what is unknown; None where there is none, as in vocabularies of bytes.
    ends : int
        The number of tokens that a text has besides its own, such as [CLS] and [SEP].
    """

    def __init__(self, token: int | None = None, ends: int = 0) -> None:
        self._token, self._ends = token, ends
        self._lock = threading.Lock()
        self.some = self.most = self.tokens = self.known = 0

    def add(self, texts: Sequence[Sequence[int]]) -> None:
        """Count the token ids of some texts."""
        if self._token is None:
            return
        unknown = [ids.count(self._token) for ids in texts]
        read = [max(0, len(ids) - self._ends) for ids in texts]
        with self._lock:
            self.tokens += sum(read)
            self.known += sum(read) - sum(unknown)
            self.some += sum(count > 0 for count in unknown)
            self.most += sum(2 * count >= whole > 0 for count, whole in zip(unknown, read, strict=True))

    def notes(self) -> Mapping[str, int]:
        """Return how many texts had unknown tokens, and how many half or more of theirs; nothing where none had."""
        return {"with_unknown_tokens": self.some, "mostly_unknown": self.most} if self.some else {}


# Tokens of the texts that share a batch: two unlike ones, two alike, one beyond the usual local windows of attention.
_LENGTHS = (4, 20, 20, 160)
# Of one more, alone: beyond the 512 to which some networks round lengths up.
_LONGEST = 600


def trial_texts(tokenizer: Any, max_len: int) -> tuple[list[list[int]], list[list[int]]]:
    """Draw words from a tokeniser's vocabulary, and frame them as it frames a text, to try a network on (see `held`).

    Whatever the network does by lengths shows between them.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    max_len : int
        Most tokens of a text, the special ones included.

    Returns
    -------
    list of lists of int
        Texts that may share a batch.
    list of lists of int
        Texts that are too long to.
    """
    framed = tokenizer.encode("a")
    ids, special = np.array(framed.ids, dtype=np.int64), np.array(framed.special_tokens_mask, dtype=bool)
    before = len(special) if special.all() else int(np.argmin(special))
    words = np.setdiff1d(list(tokenizer.get_vocab(with_added_tokens=False).values()), ids[special])
    rng = np.random.default_rng(0)

    def text(length: int) -> list[int]:
        inner = max(1, min(length, max_len) - int(special.sum()))
        return [*ids[:before].tolist(), *rng.choice(words, inner).tolist(), *ids[special][before:].tolist()]

    return [text(length) for length in _LENGTHS], [text(_LONGEST)]


def padded(batch: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return token ids and mask, int64 [n, T] both, of n lists of ids."""
    lengths = np.array([len(tokens) for tokens in batch])
    filled = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(filled.shape, dtype=np.int64)
    ids[filled] = np.concatenate(batch)
    return ids, filled.astype(np.int64)
