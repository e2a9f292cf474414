"""Whether scores mean what they say: of all that got 0.7, were 7 of 10 right? `writing` lays the bins in a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import Bools, Floats, Scores

BINS = 10
_EDGES = np.linspace(0.0, 1.0, BINS + 1)
_BLOCK_CELLS = 1 << 22  # of scores binned at once


@dataclass(frozen=True)
class Calibration:
    """What fell into each of ten bins of equal width: each is [10], and holds its upper edge but not its lower one.

    Attributes
    ----------
    counts : ndarray of int64
    scores : ndarray of float64
        Their sum.
    right : ndarray of int64
        How many of them were right.
    brier : float
        The mean of (score - truth) squared, over all classes of all rows; where a row has a single class over the rows,
        summed over its classes. G. Brier, Verification of forecasts expressed in terms of probability, 1950.
    """

    counts: NDArray[np.int64]
    scores: Floats
    right: NDArray[np.int64]
    brier: float

    @classmethod
    def of(cls, scores: Scores, labels: Bools, *, single: bool) -> Self:
        """Count scores [n, K] against labels [n, K].

        Where each row has a single class, what counts is the score of the class that is predicted; where it has
        several, every class of every row does. A score below 0 or above 1 falls into the first or the last bin.
        """
        counts, sums, right = np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS, np.int64)
        squares, step = 0.0, max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
        for start in range(0, len(scores), step):
            block, bears = scores[start : start + step], labels[start : start + step]
            squares += float(np.square(block - bears, dtype=np.float64).sum())
            said = block.argmax(axis=1)[:, None]
            given, true = (np.take_along_axis(each, said, 1) if single else each for each in (block, bears))
            place = np.searchsorted(_EDGES[1:-1], given.ravel())
            counts += np.bincount(place, minlength=BINS)
            sums += np.bincount(place, weights=given.ravel(), minlength=BINS)
            right += np.bincount(place[true.ravel()], minlength=BINS)
        return cls(counts, sums, right, squares / int(counts.sum()))

    @property
    def metrics(self) -> dict[str, float]:
        """Return `ece` and `brier`.

        The expected calibration error is the mean over bins, by their counts, of |share that was right - mean score|.
        M. Naeini and others, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
        """
        return {"ece": float(np.abs(self.right - self.scores).sum()) / int(self.counts.sum()), "brier": self.brier}


def calibration_lines(calibration: Calibration | None) -> Iterator[list[str]]:
    """Yield the header and a line for each bin, blank where it is empty; the header alone for regression."""
    yield ["low", "high", "count", "confidence", "share"]
    if calibration is None:
        return
    for at, count in enumerate(calibration.counts.tolist()):
        means = [f"{sums[at] / count:.6f}" if count else "" for sums in (calibration.scores, calibration.right)]
        yield [f"{_EDGES[at]:.1f}", f"{_EDGES[at + 1]:.1f}", str(count), *means]
