"""The mean word vector (`w2v`) by the words that `fit` learnt from train; systems.md 3.4."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from stages.encoders.artefact import Artefact
from stages.encoders.protocol import Placement, Rows, Runtime, Simple, ZeroRows
from stages.encoders.text.words import words_identity, words_of

WORDS, VECTORS = "words.json", "vectors.safetensors"
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

    def prepare(self, raws: Sequence[str]) -> Sequence[Rows]:
        """Return the mean vector [D] of each text."""
        return [self._mean([self._rows[word] for word in words_of(raw) if word in self._rows]) for raw in raws]

    def _mean(self, rows: list[int]) -> Rows:
        """Average in one order whatever the order of the words, so that the order does not matter to the last bit."""
        if not rows:
            return np.zeros(self.dim, np.float32)
        found, counts = np.unique(rows, return_counts=True)
        mean: Rows = ((counts @ self._vectors[found]) / len(rows)).astype(np.float32)
        return mean

    def encode(self, batch: Sequence[Rows]) -> Rows:
        """Return the vectors [n, D]."""
        return np.stack(batch)
