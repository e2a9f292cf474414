"""Trains a visual-semantic base on train rows for its projection of pictures; systems.md 4.8 says what it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.checkpoints import Tensors
from stages.contract import Task, Tracker
from stages.encoders.finetuned_pair import Projection
from stages.epochs import Epoch, Schedule, Watch, run_epochs
from stages.fit.context import FitContext
from stages.fit.finetune.frozen import Pictures, Words
from stages.fit.finetune.options import PairOptions
from stages.fit.rows import Index

_VSE = "vse"
_NETWORK, _MOMENTS = "network/", "optimizer/"
_MOMENTUM, _CLIP = 0.9, 2.0


def fit_base(context: FitContext, pictures: Pictures, words: Words, rows: Index) -> tuple[Projection, list[Epoch]]:
    """Train the base by SGD with momentum on the given rows, which are labelled and can be read.

    Returns
    -------
    Projection
        W_v and b_v.
    list of Epoch
        The learning curve.

    Raises
    ------
    RunError
        When the training diverged.
    """
    training = _Training(context, pictures, words, rows)
    watch = Watch(context.label, context.progress, context.checkpoints).part(_VSE)
    history = run_epochs(watch, training, Schedule(context.options.vse_epochs, len(rows)))
    visual = training.network.visual
    return Projection(*(each.detach().cpu().numpy().copy() for each in (visual.weight, visual.bias))), history


class _Training:
    """A base that is trained one epoch at a time; the order of an epoch follows from (seed, epoch) alone."""

    def __init__(self, context: FitContext, pictures: Pictures, words: Words, rows: Index) -> None:
        self._context, self._pictures, self._words, self._rows = context, pictures, words, rows
        self._options: PairOptions = context.options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            widths = (pictures.vectors.shape[1], words.vectors.shape[1])
            self.network = Vse(widths, self._options.vse_width, len(context.rows.classes), context.rows.task)
        self.network.to(context.device)
        self._optimizer = torch.optim.SGD(self.network.parameters(), lr=self._options.vse_lr, momentum=_MOMENTUM)

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Pass once over all rows; the loss is the mean of the batches' losses by their rows."""
        order = np.random.default_rng([self._context.seed, number]).permutation(len(self._rows))
        total, size = 0.0, self._options.vse_batch
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for start in range(0, len(order), size):
                batch = self._rows[order[start : start + size]]
                total += self._step(batch) * len(batch)
                tracker.advance(len(batch))
        return total / len(order), math.nan

    def _step(self, rows: Index) -> float:
        words, mask = self._words.batch(rows)
        inputs = (self._pictures.vectors[self._pictures.of[rows]], words, mask, self._context.rows.targets[rows])
        loss = self.network.loss(*(self._moved(each) for each in inputs))
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimizer.step()
        return float(loss.detach())

    def _moved(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._context.device)

    def state(self) -> Tensors:
        """Return the weights and the momentum of each."""
        moments = {
            f"{_MOMENTS}{at}": each["momentum_buffer"] for at, each in self._optimizer.state_dict()["state"].items()
        }
        return {name: value.detach().cpu().numpy() for name, value in {**self._named_weights(), **moments}.items()}

    def _named_weights(self) -> Mapping[str, Tensor]:
        return {f"{_NETWORK}{name}": value for name, value in self.network.state_dict().items()}

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        found = {name: torch.tensor(value) for name, value in tensors.items()}
        self.network.load_state_dict({name: found[f"{_NETWORK}{name}"] for name in self.network.state_dict()})
        moments = {
            int(name.removeprefix(_MOMENTS)): {"momentum_buffer": value}
            for name, value in found.items()
            if name.startswith(_MOMENTS)
        }
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""


class Vse(nn.Module):
    """Placeholder until the fusion's own network lands: the same forms, systems.md 4.8."""

    def __init__(self, widths: tuple[int, int], width: int, classes: int, task: Task) -> None:
        super().__init__()
        self._task = task
        self.visual = nn.Linear(widths[0], width)
        self.lstm = nn.LSTM(widths[1], width, batch_first=True)
        self.semantic = nn.Linear(width, width)
        self.joint = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, classes)
        )
        self.auxiliary = nn.Linear(width, classes)

    def loss(self, seen: Tensor, words: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        states, _ = self.lstm(words)
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        final = states[torch.arange(len(states)), last] * mask.any(dim=1, keepdim=True)
        visual, semantic = self.visual(seen), self.semantic(final)
        cosine = nn.functional.normalize(visual, dim=1) @ nn.functional.normalize(semantic, dim=1).T
        same = (targets[:, None] == targets[None, :]) if targets.ndim == 1 else (targets @ targets.T) > 0
        same = same | torch.eye(len(same), dtype=torch.bool, device=same.device)
        apart = (cosine[~same] - 0.2).clamp(min=0)
        loss = (1 - cosine[same]).mean() + (apart.mean() if len(apart) else 0)
        loss = loss + self._labels(self.joint(torch.cat([visual, semantic], dim=1)), targets)
        return loss + 0.5 * self._labels(self.auxiliary(final), targets)  # type: ignore[no-any-return]

    def _labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._task == "multilabel":
            return nn.functional.binary_cross_entropy_with_logits(logits, targets)
        return nn.functional.cross_entropy(logits, targets)
