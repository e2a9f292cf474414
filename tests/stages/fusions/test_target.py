"""A regression does not depend on the unit of its target, and its scale comes from train alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.fusions.catalog import NoOptions, Recipe
from stages.fusions.model import FusedModel
from stages.fusions.target import TargetScale
from stages.heads.catalog import HEADS
from stages.heads.model import Problem, Rows


def _rows(count: int, seed: int, unit: float, offset: float) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)).astype(np.float32)
    y = (x[:, :1] - 2 * x[:, 1:2]) * unit + offset
    return Rows(np.concatenate([x, np.ones((count, 1), np.float32)], axis=1), y.astype(np.float32))


@pytest.mark.parametrize("head", ["linear", "mlp", "svm", "knn", "forest"])
def test_prices_in_cents_and_in_thousands_are_learned_alike(head: str, tmp_path: Path) -> None:
    shares = []
    for unit, offset in ((1.0, 0.0), (1000.0, 50_000.0)):
        train, dev, test = (_rows(n, seed, unit, offset) for n, seed in ((400, 0), (80, 1), (120, 2)))
        chosen = {"forest": {"max_depth": 6}, "linear": {"lr": 0.05}}.get(head, {})
        options = HEADS[head].options(**chosen)
        recipe = Recipe("none", head, "none", NoOptions(), options)
        model = FusedModel((6,), recipe, Problem("regression", 1, 0)).fit(train, dev)
        scores = model.scores(test.x)
        shares.append(float(((scores - test.y) ** 2).mean() / test.y.var()))
        model.save(tmp_path)
        again = FusedModel((6,), recipe, Problem("regression", 1, 0)).restore(tmp_path)
        assert np.array_equal(again.scores(test.x), scores)
    assert max(shares) < 0.7
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


def test_the_scale_is_that_of_train_and_equal_targets_are_harmless() -> None:
    rows = Rows(np.zeros((3, 1), np.float32), np.array([[1.0], [2.0], [6.0]], np.float32))
    scale = TargetScale().fit(rows)
    assert scale.scaled(rows).y.mean() == pytest.approx(0, abs=1e-6)
    assert np.allclose(scale.unscaled(scale.scaled(rows).y), rows.y)
    flat = Rows(rows.x, np.full((3, 1), 4.0, np.float32))
    assert np.allclose(TargetScale().fit(flat).scaled(flat).y, 0)
