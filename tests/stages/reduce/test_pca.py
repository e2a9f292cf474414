"""The projection of systems.md 4.3: its algebra, its sign, and what it does when there is nothing to find."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from stages.errors import InputError
from stages.reduce.pca import Projection, fit_projection


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(60, 8)) * np.arange(1, 9) + 5).astype(np.float32)


def test_axes_are_orthonormal(rows: np.ndarray) -> None:
    axes = fit_projection(rows, 5, whiten=False).components
    assert axes.shape == (5, 8)
    np.testing.assert_allclose(axes @ axes.T, np.eye(5), atol=1e-5)


def test_train_coordinates_have_mean_zero_and_a_descending_diagonal_covariance(rows: np.ndarray) -> None:
    z = fit_projection(rows, 5, whiten=False)(rows)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(z.T)
    variances = np.diag(covariance)
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-3 * variances[0])
    assert list(variances) == sorted(variances, reverse=True)


def test_a_row_alone_projects_as_in_a_batch(rows: np.ndarray) -> None:
    projection = fit_projection(rows[:40], 3, whiten=False)
    together = projection(rows[40:])
    alone = np.concatenate([projection(row[None]) for row in rows[40:]])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_with_all_dimensions_distances_are_preserved(rows: np.ndarray) -> None:
    z = fit_projection(rows, 8, whiten=False)(rows)
    np.testing.assert_allclose(pdist(z), pdist(rows), rtol=1e-4)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_the_largest_entry_of_each_axis_is_positive_also_for_mirrored_data(seed: int) -> None:
    data = np.random.default_rng(seed).normal(size=(12, 5)).astype(np.float32)
    first, mirrored = (fit_projection(each, 4, whiten=False).components for each in (data, -data))
    assert (first[np.arange(4), np.abs(first).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(first, mirrored, atol=1e-5)


def test_whitened_train_coordinates_have_deviation_one(rows: np.ndarray) -> None:
    z = fit_projection(rows, 5, whiten=True)(rows)
    np.testing.assert_allclose(z.std(axis=0, ddof=1), 1, atol=1e-4)


def test_whitening_does_not_blow_up_axes_along_which_train_does_not_vary() -> None:
    # Six rows span five axes at most: the sixth holds rounding noise only.
    rows = (np.random.default_rng(1).normal(size=(6, 9)) * 1000).astype(np.float32)
    projection = fit_projection(rows, 6, whiten=True)
    assert projection.scale[5] == 1
    assert np.abs(projection(rows)[:, 5]).max() < 1


def test_explained_shares_sum_to_one_over_all_axes(rows: np.ndarray) -> None:
    explained = fit_projection(rows, 8, whiten=False).explained
    assert explained.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("shape", "components", "most"), [((60, 8), 9, 8), ((4, 8), 5, 4)])
def test_too_many_components_are_refused(rows: np.ndarray, shape: tuple[int, int], components: int, most: int) -> None:
    with pytest.raises(
        InputError,
        match=rf"at most {most} components \(the smaller of {shape[0]} train rows and 8 dimensions\); "
        rf"found {components}; lower `components`",
    ):
        fit_projection(rows[: shape[0]], components, whiten=False)


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("whiten", [False, True])
def test_rows_without_variance_project_to_zero_with_a_warning(
    count: int, whiten: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.tile(np.float32([[3, -1, 0.1]]), (count, 1))
    with caplog.at_level(logging.WARNING, "diptych.reduce"):
        projection = fit_projection(rows, 1, whiten=whiten)
    assert f"the {count} train rows are all equal: every coordinate is 0" in caplog.text
    assert not projection(rows).any()
    assert not projection(np.float32([[9, 9, 9]])).any()
    assert not projection.explained.any()


def test_a_projection_comes_back_from_disk(rows: np.ndarray, tmp_path: Path) -> None:
    projection = fit_projection(rows, 3, whiten=True)
    projection.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pca.safetensors"]
    np.testing.assert_array_equal(Projection.load(tmp_path)(rows), projection(rows))
