"""Both architectures of the Universal Sentence Encoder with seeded random weights; docs/systems/encoders.md#use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.text.seeded import BUCKETS, SeededWeights, buckets

_CODE_VERSION = 1
_MAX_WORDS = 512
_START, _END = "<s>", "</s>"
_DIM = 512
_HIDDEN = 320
_LAYERS = 4

Buckets = NDArray[np.int64]


class RandomUseDan(Simple):
    """A deep averaging network as the description of USE has it, untrained: 512-d unit vectors.

    The embeddings [320] of hashed words and of hashed pairs of neighbours, each from a table of its own, are summed and
    divided by the root of their number; four dense tanh layers of 512 follow, and division by the norm.
    """

    dim = _DIM
    window = 4096
    chunk = 64

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record, which says that the weights are random."""
        return {**_record("dan", self.seed), "table": [2, BUCKETS, _HIDDEN], "layers": _LAYERS}

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy runs on the processor only)
        """Draw the weights; they stay on the processor whatever the placement."""
        weights = SeededWeights(self.seed)
        self._table = weights.take(2 * BUCKETS, _HIDDEN)
        widths = [_HIDDEN] + [_DIM] * _LAYERS
        self._dense = [weights.take(rows, columns, spread=rows**-0.5) for rows, columns in pairwise(widths)]
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[Buckets]:
        """Return of each text the rows of its words and, in the second table, of its pairs of neighbours."""
        return [_words_and_pairs(normalise_text(raw).split()[:_MAX_WORDS]) for raw in raws]

    def encode(self, batch: Sequence[Buckets]) -> Rows:
        """Return the sentence vectors [n, 512]."""
        states = np.stack([self._table[rows].sum(axis=0) / np.float32(math.sqrt(len(rows))) for rows in batch])
        for dense in self._dense:
            states = np.tanh(states @ dense)
        vectors: Rows = states / np.linalg.norm(states, axis=1, keepdims=True)
        return vectors


class RandomUseTransformer(Simple):
    """The transformer variant, untrained: six layers of 512, eight heads; 512-d unit vectors.

    Hashed words, the ends of the text included, with sinusoidal positions; the states are summed over the words,
    divided by the root of their number, and by the norm.
    """

    runs_network = True
    dim = _DIM
    budget = 2048
    window = 2048
    chunk = 64

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record, which says that the weights are random."""
        return {**_record("transformer", self.seed), "table": [BUCKETS, _DIM], "layers": 6, "heads": 8}

    def load(self, placement: Placement) -> Runtime:
        """Draw the weights and place them."""
        import torch  # slow to import, needed on a miss only

        weights = SeededWeights(self.seed)
        self._table = weights.take(BUCKETS, _DIM)
        layer = torch.nn.TransformerEncoderLayer(_DIM, nhead=8, dim_feedforward=2048, dropout=0, batch_first=True)
        network = torch.nn.TransformerEncoder(layer, num_layers=6, enable_nested_tensor=False)
        for name, parameter in network.named_parameters():
            parameter.data = torch.from_numpy(_drawn(name, tuple(parameter.shape), weights))
        self._device = placement.device
        self._network = network.eval().requires_grad_(requires_grad=False).to(placement.device)
        return Runtime("torch", placement.device)

    def prepare(self, raws: Sequence[str]) -> list[Buckets]:
        """Return of each text the rows of its words."""
        return [buckets([_START, *normalise_text(raw).split()[:_MAX_WORDS], _END]) for raw in raws]

    def cost(self, prepared: Buckets) -> int:
        """Return the number of words."""
        return len(prepared)

    def encode(self, batch: Sequence[Buckets]) -> Rows:
        """Return the sentence vectors [n, 512]; padding never changes them beyond rounding."""
        import torch

        lengths = np.array([len(rows) for rows in batch])
        filled = np.arange(lengths.max()) < lengths[:, None]  # [n, T]
        states = np.zeros((*filled.shape, _DIM), dtype=np.float32)
        states[filled] = self._table[np.concatenate(batch)]
        states += _positions(filled.shape[1])
        mask = torch.from_numpy(filled).to(self._device)
        with torch.inference_mode():
            output = self._network(torch.from_numpy(states).to(self._device), src_key_padding_mask=~mask)
            # The root of the number of words, which USE divides by, goes with the norm.
            summed = (output * mask.unsqueeze(-1)).sum(dim=1)
            vectors: Rows = torch.nn.functional.normalize(summed, dim=1).cpu().numpy()
        return vectors


def _drawn(name: str, shape: tuple[int, ...], weights: SeededWeights) -> Rows:
    """Return random matrices, biases of 0 and scales of the layer norms of 1: nothing is left to torch's own seed."""
    if len(shape) == 2:
        return weights.take(*shape, spread=shape[1] ** -0.5)
    return np.full(shape, "norm" in name and name.endswith("weight"), dtype=np.float32)


def _words_and_pairs(words: Sequence[str]) -> Buckets:
    pairs = [f"{first} {second}" for first, second in pairwise([_START, *words, _END])]
    return np.concatenate([buckets(words), BUCKETS + buckets(pairs)])


def _positions(length: int) -> Rows:
    """Return sines and cosines [length, 512] of the places, as the transformer's paper has them."""
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, _DIM, 2) / _DIM)
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(length, _DIM).astype(np.float32)


def _record(variant: str, seed: int) -> dict[str, Any]:
    return {
        "family": "use",
        "variant": variant,
        "weights": "random",
        "seed": seed,
        "max_words": _MAX_WORDS,
        "truncation": "head",
        "normalise": "l2",
        "text_rule": TEXT_RULE,
        "code_version": _CODE_VERSION,
    }
