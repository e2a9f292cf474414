"""Look into the model of an experiment's first seed: weights of its inputs by class, and vectors for t-SNE.

It restores models, and so imports torch or scikit-learn: `run` imports it only where something is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.evaluate.metrics import Scores
from stages.evaluate.scoring import Scored
from stages.evaluate.trained.inside import Inside, Look, WeightRow
from stages.evaluate.trained.missing import TrainedInputs
from stages.evaluate.trained.restored import Opened, refuse_other_model, refuse_other_scores
from stages.evaluate.trained.tsne import Drawn, draw_panels, draw_rows, listed_ids
from stages.evaluate.truth import Truth
from stages.models.encoders.running.engines import resolve_device
from stages.models.experiment import Data, ExperimentInputs, read_data, read_trained, restore

EVERY = "(all)"


class WeightSums:
    """Sums of weights over rows that come in blocks.

    A row without any input has no weights to tell: a model reads it as if it had them all, and its weights are those of
    what stands for them. Such rows are left out.

    Parameters
    ----------
    classes : int
        K, 0 for regression.
    inputs : int
        M.
    """

    def __init__(self, classes: int, inputs: int) -> None:
        self._sums = np.zeros((1 + classes, inputs))
        self._rows = np.zeros(1 + classes, dtype=np.int64)

    def add(self, weights: NDArray[np.float32], present: NDArray[np.bool_], labels: NDArray[np.bool_]) -> None:
        """Count in the weights [n, M] of rows, which of them have which input [n, M], and which classes [n, K]."""
        some = present.any(axis=1, keepdims=True)
        bears = np.concatenate([some, labels & some], axis=1).astype(np.float64)  # [n, 1 + K]
        self._sums += bears.T @ weights.astype(np.float64)
        self._rows += bears.sum(axis=0).astype(np.int64)

    def table(self, classes: Sequence[str], inputs: Sequence[str]) -> Iterator[WeightRow]:
        """Yield the means over all rows, then over those of each class that has some."""
        for name, sums, rows in zip((EVERY, *classes), self._sums, self._rows.tolist(), strict=True):
            for each, total in zip(inputs, sums.tolist(), strict=True):
                if rows:
                    yield WeightRow(name, each, total / rows, rows)


def look_inside(
    look: Look, trained: TrainedInputs, inputs: ExperimentInputs, scored: Scored, device: str, progress: Progress
) -> Inside:
    """Look into the first seed's model.

    Raises
    ------
    InputError
        When a model or a matrix is not there, or the t-SNE panels have nothing to show.
    RunError
        When the model does not give the scores of the predictions, and so is of another run.
    """
    about = read_trained(trained.model)
    data = read_data(inputs, about.recipe.fusion)
    refuse_other_model(trained, scored.scores, about, data)
    drawn = _drawn(look, scored.truth, data)
    seed = min(scored.scores)
    model = restore(about.recipe, data, seed, trained.model, resolve_device(device))
    rows = np.flatnonzero((data.parts == scored.truth.part) & data.labelled)
    opened = Opened(model, data, rows, scored.truth, trained.features)
    _refuse_other_scores(opened, look, drawn, scored.scores[seed], f"{trained.model}, seed {seed}")
    weights = tuple(_weights(opened)) if look.weights else ()
    if look.tsne is None or drawn is None:
        return Inside(weights)
    return replace(draw_panels(opened, look.tsne, drawn, trained.name, progress), weights=weights)


def _drawn(look: Look, truth: Truth, data: Data) -> Drawn | None:
    if look.tsne is None:
        return None
    highlight = look.tsne.highlight
    return draw_rows(truth, look.tsne, listed_ids(highlight, frozenset(data.ids)) if highlight else frozenset())


def _refuse_other_scores(opened: Opened, look: Look, drawn: Drawn | None, expected: Scores, where: str) -> None:
    """Make sure, on the rows that are told of, that this is the model of the predictions."""
    rows = np.arange(len(opened.rows))
    if drawn is not None and not look.weights:
        rows, expected = drawn.rows, expected[drawn.rows]
    refuse_other_scores(where, expected, (opened.model.scores(block) for block in opened.blocks(rows)))


def _weights(opened: Opened) -> Iterator[WeightRow]:
    truth, start = opened.truth, 0
    labels = np.zeros((len(opened.rows), 0), dtype=bool) if truth.labels is None else truth.labels
    sums = WeightSums(labels.shape[1], len(opened.inputs))
    for block in opened.blocks(np.arange(len(opened.rows))):
        weights, stop = opened.model.weights(block), start + len(block)
        if weights is None:  # train showed a single class, and the model predicts it without a look at any input
            return
        sums.add(weights, opened.present(block), labels[start:stop])
        start = stop
    yield from sums.table(truth.classes if truth.labels is not None else (), opened.inputs)
