"""What every fitter gets, and what it gives back: the catalogue names the fitters, `run` calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.checkpoints import Checkpoints
from stages.contract import Progress
from stages.epochs import Epoch
from stages.fit.rows import FitRows


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

    @property
    def label(self) -> str:
        """The words before a progress bar."""
        return f"fit {self.name}"


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
