"""docs/systems/fusions.md#pca: its algebra, sign and memory, and what it does when there is nothing to find."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.models.fusions import pca
from stages.models.fusions.pca import PcaProjection
from store.errors import InputError
from tests.rules.scikit_checks import hold


def fitted(rows: np.ndarray, components: int = 3, *, whiten: bool = False) -> PcaProjection:
    return PcaProjection(components, whiten).fit_blocks([rows])


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(60, 8)) * np.arange(1, 9) + 5).astype(np.float32)


@pytest.fixture(params=["streamed", "in memory"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of fitting: by scatter matrix, and what rows of very many dimensions get."""
    if request.param == "in memory":
        monkeypatch.setattr(pca, "WIDEST", 1)


BOTH_WAYS = pytest.mark.usefixtures("way")


@BOTH_WAYS
def test_axes_are_orthonormal(rows: np.ndarray) -> None:
    axes = fitted(rows, 5).components_
    assert axes.shape == (5, 8)
    np.testing.assert_allclose(axes @ axes.T, np.eye(5), atol=1e-5)


@BOTH_WAYS
def test_train_coordinates_have_mean_zero_and_a_descending_diagonal_covariance(rows: np.ndarray) -> None:
    z = fitted(rows, 5).transform(rows)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(z.T)
    variances = np.diag(covariance)
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-3 * variances[0])
    assert list(variances) == sorted(variances, reverse=True)


def test_a_row_alone_projects_as_in_a_batch(rows: np.ndarray) -> None:
    projection = fitted(rows[:40])
    together = projection.transform(rows[40:])
    alone = np.concatenate([projection.transform(row[None]) for row in rows[40:]])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@BOTH_WAYS
def test_with_all_dimensions_distances_are_preserved(rows: np.ndarray) -> None:
    np.testing.assert_allclose(pdist(fitted(rows, 8).transform(rows)), pdist(rows), rtol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("block", [1, 7, 500, 5000])
def test_blocks_of_any_size_give_what_scikit_learn_finds_in_memory(block: int, offset: float) -> None:
    rng = np.random.default_rng(4)
    data = rng.normal(size=(3000, 20)) @ np.diag(0.8 ** np.arange(20)) @ rng.normal(size=(20, 20)) + offset
    projection = PcaProjection(6).fit_blocks(data[start : start + block] for start in range(0, len(data), block))
    expected = PCA(6, svd_solver="full").fit(data)
    np.testing.assert_allclose(projection.components_, expected.components_, atol=1e-5)
    np.testing.assert_allclose(projection.mean_, expected.mean_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(projection.explained_variance_ratio_, expected.explained_variance_ratio_, atol=1e-5)


def test_half_precision_far_from_the_origin_loses_nothing() -> None:
    rng = np.random.default_rng(5)
    data = (rng.normal(size=(4000, 6)) * [8, 5, 3, 2, 1, 0.5] + 2000).astype(np.float16)
    projection = PcaProjection(3).fit_blocks(np.array_split(data, 9))
    expected = PCA(3, svd_solver="full").fit(data.astype(np.float64))
    np.testing.assert_allclose(projection.components_, expected.components_, atol=1e-5)


def test_only_one_block_is_held_at_a_time() -> None:
    count, width = 100, 64

    def blocks() -> Iterator[np.ndarray]:
        for seed in range(count):
            yield np.random.default_rng(seed).normal(size=(2000, width)).astype(np.float32)

    tracemalloc.start()
    PcaProjection().fit_blocks(blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * count * 2000 * width * 4


@BOTH_WAYS
def test_fit_is_fit_blocks_of_one_block(rows: np.ndarray) -> None:
    np.testing.assert_array_equal(PcaProjection(4).fit(rows).components_, fitted(rows, 4).components_)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_the_largest_entry_of_each_axis_is_positive_also_for_mirrored_data(seed: int) -> None:
    data = np.random.default_rng(seed).normal(size=(12, 5)).astype(np.float32)
    first, mirrored = (fitted(each, 4).components_ for each in (data, -data))
    assert (first[np.arange(4), np.abs(first).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(first, mirrored, atol=1e-5)


@BOTH_WAYS
def test_whitened_train_coordinates_have_deviation_one(rows: np.ndarray) -> None:
    z = fitted(rows, 5, whiten=True).transform(rows)
    np.testing.assert_allclose(z.std(axis=0, ddof=1), 1, atol=1e-4)


@BOTH_WAYS
def test_whitening_does_not_blow_up_axes_along_which_train_does_not_vary() -> None:
    # Six rows span five axes at most: the sixth holds rounding noise only.
    data = (np.random.default_rng(1).normal(size=(6, 9)) * 1000).astype(np.float32)
    projection = fitted(data, 6, whiten=True)
    assert (projection.scale_[:5] > 1).all()
    assert projection.scale_[5] == 1
    assert np.abs(projection.transform(data)[:, 5]).max() < 1


@BOTH_WAYS
def test_explained_shares_sum_to_one_over_all_axes(rows: np.ndarray) -> None:
    assert fitted(rows, 8).explained_variance_ratio_.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("count", "components", "most"), [(60, 9, 8), (4, 5, 4)])
@BOTH_WAYS
def test_too_many_components_are_refused(rows: np.ndarray, count: int, components: int, most: int) -> None:
    with pytest.raises(
        InputError,
        match=rf"at most {most} components \(the smaller of {count} train rows and 8 dimensions\); "
        rf"found {components}; lower `components`",
    ):
        fitted(rows[:count], components)


def test_no_components_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"at least 1 and at most 8 components .*; found 0; raise `components`"):
        fitted(rows, 0)


def test_no_rows_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected train rows; found none"):
        PcaProjection().fit_blocks([rows[:0]])


def test_what_is_not_finite_is_refused(rows: np.ndarray) -> None:
    rows[7, 2] = np.nan
    with pytest.raises(InputError, match="expected finite train rows; found NaN or infinity"):
        PcaProjection().fit_blocks([rows])


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("whiten", [False, True])
@BOTH_WAYS
def test_rows_without_variance_project_to_zero_with_a_warning(
    count: int, whiten: bool, caplog: pytest.LogCaptureFixture
) -> None:
    data = np.tile(np.float32([[3, -1, 0.1]]), (count, 1))
    with caplog.at_level(logging.WARNING, "diptych.fusions"):
        projection = PcaProjection(1, whiten).fit_blocks(np.array_split(data, min(count, 3)))
    assert f"the {count} train rows are all equal: every coordinate is 0" in caplog.text
    assert not projection.transform(data).any()
    assert not projection.transform(np.float32([[9, 9, 9]])).any()
    assert not projection.explained_variance_ratio_.any()


def test_a_projection_comes_back_from_disk(rows: np.ndarray, tmp_path: Path) -> None:
    projection = fitted(rows, whiten=True)
    projection.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pca.safetensors"]
    again = PcaProjection().restore(tmp_path)
    np.testing.assert_array_equal(again.transform(rows), projection.transform(rows))
    assert (again.n_components_, again.n_features_in_) == (3, 8)


@BOTH_WAYS
def test_equal_rows_give_equal_bytes(rows: np.ndarray, tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        PcaProjection(4).fit_blocks(np.array_split(rows, 7)).save(tmp_path / name)
        found.append((tmp_path / name / "pca.safetensors").read_bytes())
    assert found[0] == found[1]


def test_clones_and_names_of_columns_as_scikit_learn_has_them(rows: np.ndarray) -> None:
    projection = clone(PcaProjection(2, whiten=True))
    assert projection.get_params() == {"n_components": 2, "whiten": True}
    assert projection.fit(rows).get_feature_names_out().tolist() == ["pcaprojection0", "pcaprojection1"]


# Of one component: many of these checks fit two columns, which the three components of the default rightly refuse.
@parametrize_with_checks([PcaProjection(1)])
def test_it_is_an_estimator_of_scikit_learn(estimator: Any, check: Any) -> None:
    hold(estimator, check)
