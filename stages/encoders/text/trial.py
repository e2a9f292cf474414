"""Token ids to try a text network on, see `held`: whatever it does by lengths shows between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
