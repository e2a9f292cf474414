"""A whole `reduce` on files: fitted on usable train rows alone, aligned, repeatable, and whole or not at all."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.models.fusions.pca import PcaProjection
from stages.reduce.params import ReduceParams
from stages.reduce.run import ReduceInputs, ReduceOutputs, run
from store import open_matrix
from store.errors import InputError
from tests.rules.cards import flat, read_card

PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def written(dataset: Any) -> None:
    dataset.write("multiclass", np.arange(40) % 3, list(PARTS))


def outputs(root: Path) -> ReduceOutputs:
    out = root / "out"
    return ReduceOutputs(out / "r.zarr.zip", root / "metrics" / "r.json", root / "models" / "r", out / "r.variance.csv")


def written_files(made: ReduceOutputs) -> list[Path]:
    return [made.matrix, made.card, made.model / "pca.safetensors", made.variance]


def reduce(dataset: Any, matrix: Path, **params: Any) -> dict[str, object]:
    settings = ReduceParams(**{"features": "m", "components": 2, **params})
    inputs = ReduceInputs(dataset.manifest, dataset.split, matrix)
    return flat(run(settings, inputs, outputs(dataset.root), SilentProgress()))


def test_every_row_is_projected_by_what_train_says(dataset: Any, vectors: np.ndarray) -> None:
    card = reduce(dataset, dataset.matrix("m", vectors))
    made = outputs(dataset.root)
    found = open_matrix(made.matrix)
    train = vectors[PARTS == "train"].astype(np.float64)
    axes = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:2]
    expected = (vectors - train.mean(0)) @ axes.T
    np.testing.assert_allclose(np.abs(found.rows(np.arange(40))), np.abs(expected), atol=1e-4)
    assert found.ids == dataset.ids(40)
    assert (card["rows"], card["dim"], card["digest"]) == (40, 2, found.digest)
    assert read_card(made.card)["source_digest"] == open_matrix(dataset.root / "m.zarr.zip").digest
    np.testing.assert_allclose(
        PcaProjection().restore(made.model).transform(vectors), found.rows(np.arange(40)), atol=1e-6
    )


def variance(root: Path) -> np.ndarray:
    """Return variance.csv as [components, (variance, cumulative)]; components count from 1."""
    with outputs(root).variance.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["component"] for row in rows] == [str(number + 1) for number in range(len(rows))]
    return np.array([[float(row["variance"]), float(row["cumulative"])] for row in rows])


def test_the_variance_of_each_component_is_its_share_of_that_of_train(dataset: Any, vectors: np.ndarray) -> None:
    card = reduce(dataset, dataset.matrix("m", vectors), components=6)
    train = vectors[PARTS == "train"].astype(np.float64)
    values = np.linalg.svd(train - train.mean(0), compute_uv=False) ** 2
    found = variance(dataset.root)
    np.testing.assert_allclose(found[:, 0], values / values.sum(), atol=1e-5)
    np.testing.assert_allclose(found[:, 1], np.cumsum(values) / values.sum(), atol=1e-5)
    assert found[:, 0].tolist() == card["explained"]
    assert found[-1, 1] == 1


def test_equal_train_rows_have_no_variance_to_explain(dataset: Any, vectors: np.ndarray) -> None:
    vectors[PARTS == "train"] = vectors[0]
    reduce(dataset, dataset.matrix("m", vectors))
    assert not variance(dataset.root).any()


@pytest.mark.parametrize("part", ["dev", "test"])
def test_noise_in_dev_or_test_rows_leaves_the_fitted_bytes_as_they_are(
    dataset: Any, vectors: np.ndarray, part: str
) -> None:
    reduce(dataset, dataset.matrix("m", vectors))
    model = outputs(dataset.root).model / "pca.safetensors"
    before = model.read_bytes()
    rows = part == PARTS
    vectors[rows] = np.random.default_rng(9).normal(size=(rows.sum(), 6)) * 50
    dataset.write("multiclass", np.where(rows, 2, np.arange(40) % 3), list(PARTS))
    reduce(dataset, dataset.matrix("m", vectors))
    assert model.read_bytes() == before


def test_train_rows_do_matter(dataset: Any, vectors: np.ndarray) -> None:
    reduce(dataset, dataset.matrix("m", vectors))
    model = outputs(dataset.root).model / "pca.safetensors"
    before = model.read_bytes()
    vectors[0] += 1
    reduce(dataset, dataset.matrix("m", vectors))
    assert model.read_bytes() != before


def test_rows_without_a_vector_are_not_learnt_from_and_carry_the_projected_placeholder(
    dataset: Any, vectors: np.ndarray
) -> None:
    usable = np.arange(40) % 4 != 0
    reduce(dataset, dataset.matrix("m", vectors, usable=usable, missing=0.5))
    made = outputs(dataset.root)
    found, projection = open_matrix(made.matrix), PcaProjection().restore(made.model)
    np.testing.assert_allclose(projection.mean_, vectors[(PARTS == "train") & usable].mean(axis=0), atol=1e-6)
    placeholder = projection.transform(np.full((1, 6), 0.5, np.float32))[0]
    np.testing.assert_allclose(found.missing_vector, placeholder, atol=1e-6)
    np.testing.assert_array_equal(found.rows(np.flatnonzero(~usable)), np.tile(found.missing_vector, (10, 1)))
    np.testing.assert_array_equal(found.usable, usable)


def test_the_same_inputs_give_the_same_bytes(dataset: Any, vectors: np.ndarray) -> None:
    path = dataset.matrix("m", vectors)
    found = []
    for _ in range(2):
        reduce(dataset, path)
        made = outputs(dataset.root)
        found.append([each.read_bytes() for each in written_files(made)])
    assert found[0] == found[1]


def test_wide_rows_come_a_few_at_a_time_and_give_the_same(
    dataset: Any, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset.matrix("m", vectors)
    reduce(dataset, path)
    made = outputs(dataset.root)
    expected, axes = open_matrix(made.matrix)[:], PcaProjection().restore(made.model).components_
    monkeypatch.setattr("stages.reduce.passes._VALUES", 6 * 7)  # seven rows of six numbers
    reduce(dataset, path)
    np.testing.assert_allclose(PcaProjection().restore(made.model).components_, axes, atol=1e-6)
    np.testing.assert_allclose(open_matrix(made.matrix)[:], expected, atol=1e-5)


def test_many_rows_are_summed_in_pieces_and_give_the_same(
    dataset: Any, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset.matrix("m", vectors)
    reduce(dataset, path, whiten=True)
    made = outputs(dataset.root)
    expected, fitted = open_matrix(made.matrix)[:], PcaProjection().restore(made.model)
    monkeypatch.setattr("stages.reduce.passes._ROWS", 2)
    monkeypatch.setattr("stages.reduce.passes._PIECE", 5)  # 24 train rows: four pieces of 6
    reduce(dataset, path, whiten=True)
    again = PcaProjection().restore(made.model)
    np.testing.assert_allclose(again.components_, fitted.components_, atol=1e-6)
    np.testing.assert_allclose(again.scale_, fitted.scale_, atol=1e-6)
    np.testing.assert_allclose(open_matrix(made.matrix)[:], expected, atol=1e-5)


def test_a_failure_leaves_model_matrix_and_card_of_before(dataset: Any, vectors: np.ndarray) -> None:
    path = dataset.matrix("m", vectors)
    reduce(dataset, path)
    made = outputs(dataset.root)
    before = [each.read_bytes() for each in written_files(made)]
    with pytest.raises(InputError, match="at most 6 components"):
        reduce(dataset, path, components=7)
    assert [each.read_bytes() for each in written_files(made)] == before


def test_without_usable_train_rows_there_is_nothing_to_fit(dataset: Any, vectors: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected usable train rows in .*m.zarr.zip; found none"):
        reduce(dataset, dataset.matrix("m", vectors, usable=PARTS != "train"))


def test_a_matrix_of_other_items_is_refused(dataset: Any, vectors: np.ndarray) -> None:
    path = dataset.matrix("m", vectors, ids=dataset.ids(40)[::-1])
    with pytest.raises(InputError, match="expected the 40 items of the manifest in its order"):
        reduce(dataset, path)
    assert not outputs(dataset.root).model.exists()


@pytest.mark.parametrize("wrong", [{"components": 0}, {"method": "ica"}, {"feature": "m"}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReduceParams(**{"features": "m", **wrong})
