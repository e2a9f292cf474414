"""docs/systems/heads.md#kmeans_svm: its clusters, its ranking, what it does with too few vectors, and its file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.models.heads.kmeans_svm import KMeansSvm
from stages.models.measures.neighbours import nearest
from store.errors import InputError
from tests.rules.scikit_checks import hold


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    """Twenty loose groups in six dimensions."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(20, 6))[rng.integers(0, 20, 300)] * 3 + rng.normal(size=(300, 6))).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(80, 6)) * 3).astype(np.float32)


@pytest.fixture(scope="module")
def model(train: np.ndarray) -> KMeansSvm:
    return KMeansSvm().fit(train)


def test_labels_cover_all_fifteen_clusters(model: KMeansSvm, train: np.ndarray) -> None:
    assert sorted(set(model.labels_.tolist())) == list(range(15))
    expected = KMeans(15, n_init=10, random_state=0).fit(train.astype(np.float64))
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    np.testing.assert_array_equal(model.assign(train), model.labels_)


def test_cluster_accuracy_is_the_share_of_clusters_that_the_machine_finds(
    model: KMeansSvm, train: np.ndarray, queries: np.ndarray
) -> None:
    centres = model.kmeans_.cluster_centers_
    truth = ((queries[:, None, :] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    accuracy = model.cluster_accuracy(queries)
    assert accuracy == pytest.approx((model.predict(queries) == truth).mean())
    assert 0.5 < accuracy < 1
    assert model.cluster_accuracy(train) > 0.9


def test_the_twin_of_a_query_is_found_first_at_distance_zero_whenever_its_cluster_is_predicted(
    model: KMeansSvm, train: np.ndarray
) -> None:
    gallery = train[::-1]
    found = model.rank(train, gallery, 5)
    right = model.predict(train) == model.assign(train)
    assert 0.9 < right.mean() < 1  # so that both cases are there
    np.testing.assert_array_equal(found.indices[right, 0], np.arange(len(train))[::-1][right])
    assert (found.distances[right, 0] == 0).all()
    assert (found.distances[~right, 0] > 0).all()


def test_the_ranking_goes_from_the_predicted_cluster_to_the_next_nearest(
    model: KMeansSvm, train: np.ndarray, queries: np.ndarray
) -> None:
    found, clusters, predicted = model.rank(queries, train, 120), model.assign(train), model.predict(queries)
    for query, vector in enumerate(queries):
        distance = np.linalg.norm(model.kmeans_.cluster_centers_ - vector, axis=1)
        distance[predicted[query]] = -1
        visited = clusters[found.indices[query]]
        changes = np.flatnonzero(np.diff(visited)) + 1
        assert visited[[0, *changes]].tolist() == np.argsort(distance)[: len(changes) + 1].tolist()
        assert all((np.diff(part) >= 0).all() for part in np.split(found.distances[query], changes))


def test_the_full_ranking_holds_every_gallery_row_once(
    model: KMeansSvm, train: np.ndarray, queries: np.ndarray
) -> None:
    found = model.rank(queries[:3], train, len(train))
    assert all(sorted(row.tolist()) == list(range(len(train))) for row in found.indices)


def test_with_one_cluster_the_ranking_is_that_of_knn(
    train: np.ndarray, queries: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "diptych.heads"):
        model = KMeansSvm(n_clusters=1).fit(train)
    assert "there is a single cluster to learn: it is predicted always, as dummy does" in caplog.text
    assert not model.predict(queries).any()
    assert model.cluster_accuracy(queries) == 1
    found, expected = model.rank(queries, train, 10), nearest(queries, train, 10)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.squared, expected.squared)


def test_fewer_distinct_vectors_than_clusters_are_refused(train: np.ndarray) -> None:
    repeated = np.tile(train[:14], (9, 1))
    with pytest.raises(InputError, match=r"at least 15 distinct vectors, .*; found 14; lower `clusters`"):
        KMeansSvm().fit(repeated)
    assert sorted(set(KMeansSvm(14).fit(repeated).labels_.tolist())) == list(range(14))


def test_zeros_of_either_sign_are_one_vector() -> None:
    with pytest.raises(InputError, match="found 1"):
        KMeansSvm(2).fit(np.array([[0.0, 1.0], [-0.0, 1.0]]))


def test_vectors_too_close_to_tell_apart_are_refused_as_well() -> None:
    # Beside a vector at a distance of 1e9 the squares of these gaps are lost.
    near = np.array([[1e9, 0.0], *([step * 1e-3, 0.0] for step in range(20))])
    with pytest.raises(InputError, match=r"at least 4 distinct vectors, .*; found [23]"):
        KMeansSvm(4).fit(near)


@pytest.mark.parametrize("k", [0, 301])
def test_a_length_that_the_gallery_does_not_have_is_refused(model: KMeansSvm, train: np.ndarray, k: int) -> None:
    with pytest.raises(InputError, match=f"expected k from 1 to 300, the gallery rows; found {k}"):
        model.rank(train[:2], train, k)


def saved(model: KMeansSvm, folder: Path) -> bytes:
    folder.mkdir()
    model.save(folder)
    assert [path.name for path in folder.iterdir()] == ["kmeans_svm.skops"]
    return (folder / "kmeans_svm.skops").read_bytes()


@pytest.mark.parametrize("clusters", [1, 6])
def test_it_comes_back_from_disk_without_pickle(
    clusters: int, train: np.ndarray, queries: np.ndarray, tmp_path: Path
) -> None:
    model = KMeansSvm(clusters).fit(train)
    saved(model, tmp_path / "m")
    again = KMeansSvm().restore(tmp_path / "m")
    np.testing.assert_array_equal(again.order(queries), model.order(queries))
    np.testing.assert_array_equal(again.rank(queries, train, 9).indices, model.rank(queries, train, 9).indices)
    assert (again.n_clusters, again.n_features_in_, again.labels_.tolist()) == (clusters, 6, model.labels_.tolist())


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(train: np.ndarray, tmp_path: Path) -> None:
    first, second = (saved(KMeansSvm(seed=3).fit(train), tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert saved(KMeansSvm(seed=4).fit(train), tmp_path / "third") != first


def test_parameters_and_clones_as_scikit_learn_has_them(model: KMeansSvm) -> None:
    assert KMeansSvm().get_params() == {"n_clusters": 15, "seed": 0}
    assert clone(model.set_params(seed=0)).get_params() == model.get_params()


@parametrize_with_checks([KMeansSvm(n_clusters=1), KMeansSvm(n_clusters=2)])
def test_it_is_an_estimator_of_scikit_learn(estimator: Any, check: Any) -> None:
    hold(estimator, check)
