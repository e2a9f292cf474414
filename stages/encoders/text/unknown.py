"""Counts texts that a tokeniser cannot read: signs it does not know all become one token, and so one vector."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

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
