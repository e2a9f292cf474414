"""How good what an experiment says of each item is, and which items to show: pure arrays, used by `examples`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def label_quality(
    scores: NDArray[np.float32], predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Grade each item by its F1 (1 when nothing is true and nothing predicted), then by how sure the scores were.

    Returns
    -------
    float64 [n]
        Larger is better. Sureness only orders items of equal F1.
    """
    shared = (predicted & truth).sum(axis=1)
    size = predicted.sum(axis=1) + truth.sum(axis=1)
    f1 = np.where(size > 0, 2 * shared / np.maximum(size, 1), 1.0)
    gap = np.abs(scores.astype(np.float64) - truth).mean(axis=1)
    # F1 values of a few labels differ by far more than this share of the gap, which stays below one thousandth.
    return np.asarray(f1 - 1e-3 * gap / (1.0 + gap))


def pick(quality: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose items to show: some among the best fifth and some among the worst fifth.

    Parameters
    ----------
    quality : float64 [n]
        Larger is better.
    count : int
        How many in all; fewer when there are fewer items.
    seed : int
        Chooses within each fifth.

    Returns
    -------
    best, worst : int64 arrays
        Positions, the best first and the worst first; no item stands in both.
    """
    count = min(count, len(quality))
    order = np.argsort(-quality, kind="stable")
    worst_size = count // 2
    best_size = count - worst_size
    pool = max(best_size, min(len(order) // 5, len(order) - worst_size))
    rng = np.random.default_rng(seed)
    best = np.sort(rng.choice(pool, best_size, replace=False))
    rest = order[pool:][::-1]
    pool = max(worst_size, min(len(order) // 5, len(rest)))
    worst = np.sort(rng.choice(pool, worst_size, replace=False)) if worst_size else np.zeros(0, np.int64)
    return order[best], rest[worst]
