"""What `joint`, `gated` and `gated2d` share: a torch module that gives vectors, its training, its files."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from stages.models.features.layout import Block, Layout
from stages.models.features.transformer import FusionTransformer
from stages.models.fusions.gated.training import Pairs, Rates, RetrievalTraining, text_numbers
from stages.models.heads.model import Array, Features, dense
from stages.models.training.epochs import UNWATCHED, Schedule, Watch, run_epochs
from stages.models.training.state import module_arrays, restore_module
from store.files.tensors import save_tensors

_FILE = "fusion.safetensors"
_ROWS = 256
_LOG = logging.getLogger("diptych.fusions")
Signal = Literal["retrieval", "none"]


class RetrievalFusion(FusionTransformer, ABC):
    """Base of fusions that learn by retrieval: the first input is the text, the last the picture.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs. None takes all columns for one vector that is both text and picture of its row.
    train : {"retrieval", "none"}
        Let two train rows of the same text find each other, see `RetrievalTraining`; or keep the seeded weights.
    lr, weight_decay : float
        Of AdamW.
    batch, epochs : int
        Pairs of a step, passes over the rows.
    seed : int
        Of the weights and of the order of the pairs.
    device : str
        Of torch.

    Attributes
    ----------
    module_ : torch module
        Joined features [n, columns] to vectors [n, D].
    history_ : list of Epoch
        The learning curve; empty where nothing was learned.
    """

    def __init__(  # noqa: PLR0913 (scikit-learn's estimators take each option by name)
        self,
        layout: Sequence[Any] | None = None,
        *,
        train: Signal = "retrieval",
        lr: float = 1e-4,
        weight_decay: float = 1e-4,
        batch: int = 32,
        epochs: int = 20,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(layout)
        self.train, self.lr, self.weight_decay, self.batch, self.epochs = train, lr, weight_decay, batch, epochs
        self.seed, self.device = seed, device

    @abstractmethod
    def network(self, layout: Layout) -> nn.Module:
        """Return the module with fresh weights; with a single input in the layout, that is both text and picture."""

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (scikit-learn's)
        """Draw the weights and learn from the rows of `x` [n, columns]: train rows only.

        Rows that lack an input, and rows whose text no other row has, are left out. Where fewer than two texts are
        left, a warning is logged and the seeded weights stay.
        """
        x = self._with_presence(self._learnable(x))
        self.module_, self.history_ = self._fresh(), []
        if self.train == "retrieval":
            pairs = Pairs(text_numbers(x, self._layout))
            if pairs.can_teach:
                training = RetrievalTraining(
                    self.module_, x, pairs, Rates(self.lr, self.weight_decay, self.batch), self.seed
                )
                self.history_ = run_epochs(watch, training, Schedule(self.epochs, len(pairs)))
            else:
                _LOG.warning(
                    "%s: no two texts are shared by several of the %d train rows that have all inputs, so there is "
                    "nothing to learn from: the seeded weights stay",
                    type(self).__name__,
                    len(x),
                )
        return self

    @property
    def _layout(self) -> Layout:
        return self.inputs or (Block(self.n_features_in_),)

    def _with_presence(self, x: Features) -> Features:
        if self.layout is not None:
            return x
        return np.concatenate([dense(x), np.ones((len(x), 1), np.float32)], axis=1)

    def _fresh(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self.network(self._layout).eval().to(self.device)

    def transform(self, x: Array) -> Array:
        """Return the fused vectors float32 [n, D]."""
        rows = dense(self._with_presence(self._transformable(x)))
        starts = range(0, len(rows), _ROWS)
        if not len(rows):
            return self._vectors(np.zeros((1, rows.shape[1]), dtype=np.float32))[:0]
        return np.concatenate([self._vectors(rows[start : start + _ROWS]) for start in starts])

    def _vectors(self, x: Array) -> Array:
        with torch.inference_mode():
            vectors: Array = self.module_(torch.from_numpy(np.ascontiguousarray(x)).to(self.device)).cpu().numpy()
        return vectors

    def save(self, folder: Path) -> None:
        """Write `fusion.safetensors`."""
        save_tensors(module_arrays(self.module_), folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self._restored()
        self.module_, self.history_ = self._fresh(), []
        restore_module(self.module_, load_file(folder / _FILE))
        return self
