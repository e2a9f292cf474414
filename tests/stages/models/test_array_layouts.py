"""What stages write follows the numbers of an array, not how they lie in memory; `test_tensors` has safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.models.heads.skops_file import load_estimator, save_estimator
from stages.models.training.cause import _digest
from store.files.scratch import put_arrays, take_arrays
from store.results.predictions import PredictionWriter
from tests.rules.layouts import LAYOUTS, laid_out

VALUES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_predictions(tmp_path: Path, layout: str) -> None:
    def written(name: str, scores: np.ndarray) -> bytes:
        with PredictionWriter(tmp_path / name, {"experiment": "x"}) as writer:
            writer.write(0, list("abcdef"), np.array(["test"] * 6), scores)
        return (tmp_path / name).read_bytes()

    assert written("other", laid_out(VALUES, layout)) == written("plain", VALUES)
    assert pq.read_table(tmp_path / "other")["scores"].to_pylist() == VALUES.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_for_workers(tmp_path: Path, layout: str) -> None:
    digest = put_arrays(tmp_path / "a.npz", a=laid_out(VALUES, layout))
    np.testing.assert_array_equal(take_arrays(tmp_path / "a.npz", digest)["a"], VALUES)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_estimators_and_arrays_by_skops(tmp_path: Path, layout: str) -> None:
    content: dict[str, Any] = {"a": laid_out(VALUES, layout)}
    save_estimator(tmp_path / "a.skops", content)
    np.testing.assert_array_equal(load_estimator(tmp_path / "a.skops")["a"], VALUES)


@pytest.mark.parametrize("layout", sorted({*LAYOUTS} - {"big-endian"}))
def test_the_cause_of_a_training(layout: str) -> None:
    assert _digest(laid_out(VALUES, layout)) == _digest(VALUES)


def test_the_cause_of_a_training_tells_what_differs() -> None:
    assert _digest(VALUES) != _digest(VALUES.reshape(4, 6))
    assert _digest(VALUES) != _digest(VALUES[::-1])
