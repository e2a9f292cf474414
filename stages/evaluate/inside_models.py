"""Look into the model of an experiment's first seed: weights of its inputs by class, and vectors for t-SNE.

It restores models, and so imports torch or scikit-learn: `run` imports it only where something is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from stages.contract import Progress
from stages.encoders.device import resolve_device
from stages.evaluate.conditions import TrainedInputs
from stages.evaluate.inside import Inside, Look, WeightRow
from stages.evaluate.metrics import Scores
from stages.evaluate.opened import Opened
from stages.evaluate.readings import Truth
from stages.evaluate.restored import refuse_other_model, refuse_other_scores
from stages.evaluate.scoring import Scored
from stages.evaluate.tsne_panels import draw_panels
from stages.evaluate.tsne_rows import Drawn, draw_rows, listed_ids
from stages.evaluate.weights import WeightSums
from stages.experiment import Data, ExperimentInputs, read_data, read_trained, restore


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
