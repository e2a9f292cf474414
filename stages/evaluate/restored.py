"""Hold restored models against the predictions that are evaluated; `robustness` and `inside_models` ask."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from stages.errors import RunError
from stages.evaluate.conditions import TrainedInputs
from stages.evaluate.metrics import Scores
from stages.experiment import Data, Trained

_LOG = logging.getLogger("diptych.evaluate")
# Neighbours at equal distance may change places on another processor, and the scores of their rows with them.
_CLOSE, _FEW = 1e-3, 0.01


def refuse_other_model(trained: TrainedInputs, seeds: Iterable[int], about: Trained, data: Data) -> None:
    """Make sure that the models were trained on these features, and with the seeds of the predictions.

    Raises
    ------
    RunError
        When they were not.
    """
    layout = [block.as_json() for block in data.layout]
    facts = (
        ("features", list(trained.features), list(about.features)),
        ("columns", layout, about.layout),
        ("seeds", sorted(seeds), sorted(about.seeds)),
    )
    for what, expected, found in facts:
        if expected != found:
            raise RunError(
                f"{trained.model}: expected models of the {what} {expected}; found some of {found}; run `dvc repro` to "
                "train the experiment again."
            )


def refuse_other_scores(where: str, expected: Scores, found: Iterable[Scores]) -> None:
    """Make sure that a model, on these matrices, is the one that made the predictions.

    Parameters
    ----------
    where : str
        Which model, for messages.
    expected : ndarray of float32, [n, K]
        The predictions.
    found : iterable of ndarray, [n_b, K]
        The model's scores of the same rows in the same order, in blocks.

    Raises
    ------
    RunError
        When more than one row in a hundred differs; fewer are told in a warning.
    """
    start, apart = 0, 0
    for block in found:
        known = expected[start : start + len(block)]
        apart += int((~np.isclose(block, known, rtol=_CLOSE, atol=_CLOSE).all(axis=1)).sum())
        start += len(block)
    if apart > _FEW * len(expected):
        raise RunError(
            f"{where}: expected the scores of the predictions; found others in {apart} of {len(expected)} rows: model, "
            "matrices and predictions are not of one run; run `dvc repro` to train the experiment again."
        )
    if apart:
        _LOG.warning("%s: %d of %d rows have other scores than the predictions", where, apart, len(expected))
