"""Trains a fusion without labels, by items that share their text; docs/systems/fusions.md#retrieval-training.

Paper 4 gives no training signal for its gate; this one is ours. Queries and gallery both carry their sentence, so what
is learned may lean on the text: compare with `train: none`, the seeded gate.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.contract import Tracker
from stages.models.features.layout import Layout, split_inputs
from stages.models.heads.model import Features, blocks_of
from stages.models.training.state import Arrays, restore_training, training_arrays

_SCALE = "log_scale"
_FIRST_SCALE, _LARGEST_SCALE = 10.0, 100.0
_LEAST_NORM = 1e-6
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Rates:
    """How the steps are made: AdamW on batches of pairs, gradients clipped to the norm 1."""

    lr: float
    weight_decay: float
    batch: int


def text_numbers(x: Features, layout: Layout) -> Numbers:
    """Return which rows have the same text.

    Parameters
    ----------
    x : Features, [n, columns]
        The first input is the text; rows of equal texts hold equal bytes there, because features are kept by content.
    layout : Layout

    Returns
    -------
    ndarray of int64, [n]
        The same number for the same text, counted from 0; -1 for a row that lacks one of the inputs.
    """
    known: dict[bytes, int] = {}
    numbers = []
    for block in blocks_of(x):
        whole = np.all([part.present > 0 for part in split_inputs(block, layout)], axis=0)
        texts = np.ascontiguousarray(block[:, : layout[0].columns])
        for there, text in zip(whole, texts, strict=True):
            digest = hashlib.sha256(text.tobytes()).digest() if there else b""
            numbers.append(known.setdefault(digest, len(known)) if there else -1)
    return np.array(numbers, dtype=np.int64)


class Pairs:
    """The rows whose text another row shares, and a random partner for each.

    Parameters
    ----------
    texts : ndarray of int64, [n]
        As `text_numbers` gives them; a row whose text is unique, or is -1, is left out.

    Attributes
    ----------
    rows, texts : ndarray of int64, [m]
        The rows that have a partner, and the numbers of their texts, ascending.
    """

    def __init__(self, texts: Numbers) -> None:
        known = np.flatnonzero(texts >= 0)
        order = known[np.argsort(texts[known], kind="stable")]
        _, first, size = np.unique(texts[order], return_index=True, return_counts=True)
        shared = np.repeat(size > 1, size)
        self.rows, self.texts = order[shared], texts[order][shared]
        self._size = np.repeat(size, size)[shared]
        self._place = (np.arange(len(order)) - np.repeat(first, size))[shared]  # of a row among those of its text

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def can_teach(self) -> bool:
        """Whether there are two texts to tell apart."""
        return len(np.unique(self.texts)) > 1

    def partners(self, rng: np.random.Generator) -> Numbers:
        """Draw for each of `rows` another row of the same text: [m]."""
        start = np.arange(len(self)) - self._place
        return self.rows[start + (self._place + rng.integers(1, self._size)) % self._size]


def retrieval_loss(anchors: Tensor, partners: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Return the mean cross entropy of finding each anchor's partner in the batch by cosine.

    Parameters
    ----------
    anchors, partners : Tensor, [B, D]
        Row i of the one belongs to row i of the other.
    texts : Tensor, [B]
        Partners that share an anchor's text, other than its own, are no mistake: they leave the denominator.
    scale : Tensor, [1]
        The temperature's inverse.
    """
    queries, found = (nn.functional.normalize(each, dim=1, eps=_LEAST_NORM) for each in (anchors, partners))
    own = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    also_right = (texts[:, None] == texts[None, :]) & ~own
    scores = (scale * queries @ found.T).masked_fill(also_right, float("-inf"))  # [B, B]
    return nn.functional.cross_entropy(scores, torch.arange(len(texts), device=texts.device))


class RetrievalTraining:
    """A module that gives vectors, trained one epoch at a time; what is random follows from (seed, epoch) alone.

    Parameters
    ----------
    module : torch module
        Joined features [n, columns] to vectors [n, D].
    x : Features, [n, columns]
    pairs : Pairs
        Of rows of `x`.
    rates : Rates
    seed : int
    """

    def __init__(self, module: nn.Module, x: Features, pairs: Pairs, rates: Rates, seed: int) -> None:
        self.module, self._x, self._pairs, self._rates, self._seed = module, x, pairs, rates, seed
        self._device = next(module.parameters()).device
        self._log_scale = nn.Parameter(torch.tensor([math.log(_FIRST_SCALE)], device=self._device))
        self._learned = [*module.parameters(), self._log_scale]
        self._optimizer = torch.optim.AdamW(self._learned, lr=rates.lr, weight_decay=rates.weight_decay)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with: learned, at most 100."""
        return self._log_scale.exp()

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Let every row be the anchor once; return the mean loss."""
        rng = np.random.default_rng([self._seed, number])
        partners, order = self._pairs.partners(rng), rng.permutation(len(self._pairs))
        total, count = 0.0, 0
        self.module.train()
        with torch.random.fork_rng(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            torch.manual_seed(int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
            for start in range(0, len(order), self._rates.batch):
                chosen = order[start : start + self._rates.batch]
                if len(chosen) > 1:  # one pair has nothing to be told from, and no batch statistics
                    total += self._step(chosen, partners[chosen]) * len(chosen)
                    count += len(chosen)
                tracker.advance(len(chosen))
        self.module.eval()
        return total / count, math.nan

    def _step(self, chosen: Numbers, partners: Numbers) -> float:
        rows = np.concatenate([self._pairs.rows[chosen], partners])
        x = torch.from_numpy(np.ascontiguousarray(self._x[rows], dtype=np.float32)).to(self._device)
        anchors, others = self.module(x).chunk(2)
        texts = torch.from_numpy(self._pairs.texts[chosen]).to(self._device)
        loss = retrieval_loss(anchors, others, texts, self.scale)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        with torch.no_grad():  # held back here and not in the loss, which could then not lower it again
            self._log_scale.clamp_(max=math.log(_LARGEST_SCALE))
        return float(loss.detach())

    def state(self) -> Arrays:
        """Return the weights, the scale and the moments of AdamW."""
        scale = np.array(self._log_scale.detach().cpu().numpy())
        return {_SCALE: scale, **training_arrays(self.module, self._optimizer)}

    def restore(self, tensors: Arrays) -> None:
        """Take up what `state` returned."""
        restore_training(self.module, self._optimizer, tensors)
        with torch.no_grad():
            self._log_scale.copy_(torch.tensor(tensors[_SCALE]))

    def weights(self) -> Arrays:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Arrays) -> None:
        """Do nothing."""
