"""What every fitter gets, and what it gives back: the catalogue names the fitters, `run` calls them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.contract import Progress
from stages.fit.checkpoints import Checkpoints
from stages.fit.rows import FitRows


@dataclass(frozen=True)
class Epoch:
    """One line of a learning curve; NaN stands for what was not measured, such as without rows set aside."""

    epoch: int
    train_loss: float
    valid_loss: float = math.nan
    valid_accuracy: float = math.nan


@dataclass(frozen=True)
class FitContext:
    """All that a fitter works with.

    Attributes
    ----------
    name : str
        The entry of params.yaml, for progress and messages.
    options : Options
        Of the fitter's own type.
    seed : int
        Of every draw. Draw each epoch's numbers from (seed, epoch), so that a run that goes on behind an epoch draws
        what an uninterrupted one does.
    rows : FitRows
    device : str
        Where networks are trained: a device that is there.
    workers : int
        Threads that read and decode ahead.
    progress : Progress
    checkpoints : Checkpoints
    """

    name: str
    options: Any
    seed: int
    rows: FitRows
    device: str
    workers: int
    progress: Progress
    checkpoints: Checkpoints


@dataclass(frozen=True)
class Fitted:
    """What a fitter tells besides the weights that it wrote.

    Attributes
    ----------
    history : sequence of Epoch
        Empty for a fitter without epochs.
    facts : mapping
        Plain numbers and words for the card, such as the size of a vocabulary; the same in every run.
    """

    history: Sequence[Epoch] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
