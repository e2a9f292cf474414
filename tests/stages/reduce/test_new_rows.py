"""New rows of `reduce`: those of the matrix made again are the same, and what does not belong together is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.models.features.table import absent_input, read_input
from stages.reduce.new_rows import ReduceNewRows
from stages.reduce.params import ReduceParams
from stages.reduce.run import ReduceInputs, ReduceOutputs, run
from store import Matrix, open_matrix
from store.errors import InputError

PARAMS = ReduceParams(features="m", components=2)
SOME = np.array([3, 0, 7])


@pytest.fixture
def made(dataset: Any) -> tuple[Matrix, Matrix, Path]:
    """A source whose last row is missing, what `reduce` made of it, and the folder of the projection."""
    dataset.write("multiclass", np.arange(20) % 2, ["train"] * 16 + ["test"] * 4)
    vectors = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    source = dataset.matrix("m", vectors, usable=np.arange(20) < 19, missing=0.5)
    out = dataset.root / "out"
    outputs = ReduceOutputs(out / "r.zarr.zip", out / "r.json", out / "r", out / "r.csv")
    run(PARAMS, ReduceInputs(dataset.manifest, dataset.split, source), outputs, SilentProgress())
    return open_matrix(source), open_matrix(outputs.matrix), outputs.model


def test_several_rows_at_once_are_those_of_the_matrix(made: tuple[Matrix, Matrix, Path]) -> None:
    source, matrix, folder = made
    new = ReduceNewRows(PARAMS, source, matrix, folder)
    found = new.of([read_input(source, SOME, ())])
    np.testing.assert_allclose(found.vector, matrix.rows(SOME), atol=1e-6)
    assert (found.vector.dtype, found.arrays, found.present.tolist()) == (np.float32, {}, [True] * 3)
    absent = new.of([absent_input(source, 2)])
    np.testing.assert_allclose(absent.vector, matrix.rows(np.array([19, 19])), atol=1e-6)
    assert not absent.present.any()


def test_another_source_or_a_model_that_is_gone_is_refused(made: tuple[Matrix, Matrix, Path]) -> None:
    source, matrix, folder = made
    with pytest.raises(InputError, match="expected a matrix made from the present source_digest; found another"):
        ReduceNewRows(PARAMS, matrix, matrix, folder)
    with pytest.raises(InputError, match=r"expected what `reduce` fitted at .*gone; found none"):
        ReduceNewRows(PARAMS, source, matrix, folder / "gone").restore()
