"""What every model falls back to when train shows one class only; docs/systems/heads.md#train-rows-of-one-class."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from stages.models.heads.model import Array, LabelledRows, Model, Problem, Scores, Transparent
from stages.models.training.epochs import UNWATCHED, Epoch, Watch

_FILE = "single_class.json"
_LOG = logging.getLogger("diptych.heads")


class SingleClassGuard:
    """Fits the model it holds, unless there is only one class to learn: then it predicts that one, as `dummy` does.

    Parameters
    ----------
    model : Model
        Unfitted.
    problem : Problem
        Only multiclass problems can have a single class; of others the guard takes no notice.
    """

    def __init__(self, model: Model, problem: Problem) -> None:
        self.model, self.problem = model, problem
        self.only_: int | None = None

    @property
    def history(self) -> Sequence[Epoch]:
        """The learning curve of the model."""
        return self.model.history

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Fit the model, or remember the only class."""
        if self.problem.task == "multiclass" and len(np.unique(train.y)) == 1:
            self.only_ = int(train.y[0])
            _LOG.warning("the train rows hold a single class: the head predicts it always, as dummy does")
        else:
            self.model.fit(train, dev, watch)
        return self

    def scores(self, x: Array) -> Scores:
        """Return the model's scores, or 1 for the only class and 0 for the others."""
        if self.only_ is None:
            return self.model.scores(x)
        scores = np.zeros((len(x), self.problem.outputs), dtype=np.float32)
        scores[:, self.only_] = 1.0
        return scores

    def input_weights(self, x: Array) -> Array | None:
        """Return those of the model; None where it was not fitted, or cannot be looked into."""
        return self.model.input_weights(x) if self.only_ is None and isinstance(self.model, Transparent) else None

    def inner_vectors(self, x: Array) -> Mapping[Any, Array]:
        """Return those of the model; nothing where it was not fitted, or cannot be looked into."""
        return self.model.inner_vectors(x) if self.only_ is None and isinstance(self.model, Transparent) else {}

    def save(self, folder: Path) -> None:
        """Write the model, or `single_class.json`."""
        if self.only_ is None:
            self.model.save(folder)
        else:
            (folder / _FILE).write_text(json.dumps(self.only_) + "\n", "utf-8")

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        if (folder / _FILE).exists():
            self.only_ = int(json.loads((folder / _FILE).read_text("utf-8")))
        else:
            self.model.restore(folder)
        return self
