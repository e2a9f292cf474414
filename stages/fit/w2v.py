"""Fits `w2v`: word vectors by gensim's Word2Vec on the words of the train texts; docs/systems/encoders.md#w2v."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import Word2Vec
from numpy.typing import NDArray

from stages.contract import Tracker
from stages.fit.context import FitContext, Fitted
from stages.fit.options import W2vOptions
from stages.models.encoders.text.w2v import VECTORS, WORDS, words_of
from stages.models.training.checkpoints import Tensors
from stages.models.training.epochs import Schedule, run_epochs
from store.errors import InputError
from store.files.tensors import save_tensors
from store.results.cards import EntryCard

_FIRST_RATE, _LAST_RATE = 0.025, 0.0001  # gensim's defaults; the rate falls evenly over all epochs


def fit_w2v(context: FitContext, folder: Path) -> Fitted:
    """Learn the vectors and write the words and their matrix [V, D].

    Raises
    ------
    InputError
        When the train texts hold no word that is frequent enough.
    """
    options: W2vOptions = context.options
    training = _Training(context, options)
    history = run_epochs(context, training, Schedule(options.epochs, len(context.rows)))
    words = list(training.model.wv.index_to_key)
    (folder / WORDS).write_text(json.dumps(words, ensure_ascii=False) + "\n", "utf-8")
    save_tensors({"vectors": np.asarray(training.model.wv.vectors, dtype=np.float32)}, folder / VECTORS)
    return Fitted(history, EntryCard(counts={"words": len(words), "texts_without_words": training.empty}))


class _Training:
    """A Word2Vec that is trained one epoch at a time, always by one thread: two would race for the rows."""

    def __init__(self, context: FitContext, options: W2vOptions) -> None:
        self._options, self._seed = options, context.seed
        texts = [words_of(str(context.rows.load(position))) for position in range(len(context.rows))]
        self._texts = [words for words in texts if words]
        self.empty = len(texts) - len(self._texts)
        self.model = Word2Vec(
            vector_size=options.vector_size,
            window=options.window,
            min_count=options.min_count,
            negative=options.negative,
            sg=0,
            hs=0,
            seed=context.seed,
            workers=1,
        )
        self.model.build_vocab(self._texts)
        if not len(self.model.wv):
            raise InputError(
                f"fit {context.name}: expected a word that {len(texts)} texts hold {options.min_count} times or more; "
                "found none; lower `min_count`, or check the texts."
            )

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Pass once over all texts; the loss is the mean over the words that were predicted."""
        self.model.random = np.random.RandomState(_draw(self._seed, number))
        predicted, _ = self.model.train(
            self._texts,
            total_examples=len(self._texts),
            epochs=1,
            start_alpha=self._rate(number - 1),
            end_alpha=self._rate(number),
            compute_loss=True,
        )
        tracker.advance(len(self._texts) + self.empty)
        return float(self.model.get_latest_training_loss()) / max(1, predicted), math.nan

    def _rate(self, done: int) -> float:
        return _FIRST_RATE - (_FIRST_RATE - _LAST_RATE) * done / self._options.epochs

    def state(self) -> Tensors:
        """Return the vectors of words as inputs and as outputs: [V, D] each."""
        return {"inputs": self.model.wv.vectors, "outputs": self.model.syn1neg}

    def restore(self, tensors: Tensors) -> None:
        """Take both up in place, for the compiled code holds on to the arrays."""
        self.model.wv.vectors[:] = tensors["inputs"]
        self.model.syn1neg[:] = tensors["outputs"]

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""


def _draw(seed: int, number: int) -> NDArray[Any]:
    """Return what seeds the generator of one epoch."""
    return np.random.SeedSequence([seed, number]).generate_state(4)
