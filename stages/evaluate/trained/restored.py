"""Restored models: held against the predictions that are evaluated, and read block by block."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import Scores
from stages.evaluate.trained.missing import TrainedInputs
from stages.evaluate.truth import Truth
from stages.models.experiment import Data, Trained
from stages.models.features.layout import split_inputs
from stages.models.fusions.model import FusedModel
from stages.models.heads.model import Array, blocks_of
from store.errors import RunError

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


@dataclass(frozen=True)
class Opened:
    """The model of one seed.

    Attributes
    ----------
    rows : ndarray of int64, [n]
        Where the rows of the truth stand in the manifest.
    inputs : tuple of str
        The names of the M features.
    """

    model: FusedModel
    data: Data
    rows: NDArray[np.int64]
    truth: Truth
    inputs: tuple[str, ...]

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[Array]:
        """Yield the joined features [n_b, columns] of rows [m], which are positions in the truth."""
        yield from blocks_of(self.data.features(self.rows[rows]))

    def present(self, block: Array) -> NDArray[np.bool_]:
        """Return which inputs the rows of joined features have, [n_b, M]."""
        return np.stack([part.present > 0 for part in split_inputs(block, self.data.layout)], axis=1)
