"""How a ranking does at every list length up to the longest: the plot beside the metrics, called by `run`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stages.outputs import write_lines
from stages.retrieve.metrics import Outcome

COLUMNS = ("k", "top_k", "recall", "precision", "random")


def curve(outcome: Outcome) -> Iterator[tuple[float, ...]]:
    """Yield for k = 1, 2, ... what `retrieval_metrics` calls top_K, recall_K, precision_K and random_top_K.

    All are means over the answerable queries, of which there is at least one.
    """
    answerable = outcome.relevant > 0
    hits, relevant = outcome.hits[answerable], outcome.relevant[answerable]
    candidates = outcome.candidates[answerable]
    found, missed = np.zeros(len(relevant)), np.ones(len(relevant))
    for drawn in range(hits.shape[1]):
        found += hits[:, drawn]
        # One more blind draw misses again: those before took irrelevant items only.
        missed *= np.maximum(candidates - relevant - drawn, 0) / (candidates - drawn)
        k = drawn + 1
        shares = (found > 0).mean(), (found / relevant).mean(), (found / k).mean(), 1.0 - missed.mean()
        yield k, *map(float, shares)


def write_curve(path: Path, outcome: Outcome) -> None:
    """Write the curve as CSV, one line per k, six digits behind the point."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([k, *(f"{value:.6f}" for value in values)] for k, *values in curve(outcome))
