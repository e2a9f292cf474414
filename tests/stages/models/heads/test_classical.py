"""What only scikit-learn's heads must stand: too few rows, nothing to learn, many classes, a tampered file."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC
from skops.io.exceptions import UntrustedTypesFoundException

from stages.models.heads import skops_file
from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.classical import is_shared, shared_margins
from stages.models.heads.model import LabelledRows, Model, Problem
from stages.models.heads.skops_file import load_estimator, save_estimator
from store.errors import InputError, RunError


def head(name: str, task: Any, outputs: int, **options: Any) -> Model:
    return build_head(name, 3, HEADS[name].options(**options), Problem(task, outputs, 0))


def rows(x: np.ndarray, y: np.ndarray) -> LabelledRows:
    return LabelledRows(x.astype(np.float32), y)


NOBODY = LabelledRows(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))


def test_more_neighbours_than_train_rows_are_refused() -> None:
    x = np.eye(3)
    with pytest.raises(InputError, match=r"expected at most 3 neighbours .* found 5; lower `neighbours`"):
        head("knn", "multiclass", 3, neighbours=5).fit(rows(x, np.arange(3)), NOBODY)
    head("knn", "multiclass", 3, neighbours=3).fit(rows(x, np.arange(3)), NOBODY)


def test_one_neighbour_returns_each_train_row_itself() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    model = head("knn", "multiclass", 20, neighbours=1).fit(rows(x, np.arange(20)), NOBODY)
    np.testing.assert_array_equal(model.scores(x.astype(np.float32)), np.eye(20))


def test_on_unit_vectors_the_nearest_is_the_one_of_largest_cosine() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    model = head("knn", "multiclass", 20, neighbours=1).fit(rows(x[:20], np.arange(20)), NOBODY)
    np.testing.assert_array_equal(model.scores(x[20:].astype(np.float32)).argmax(1), (x[20:] @ x[:20].T).argmax(1))


def test_least_squares_find_the_plane_also_among_columns_that_are_almost_the_same() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 3))
    x[:, 1] = x[:, 0] + 3e-4 * x[:, 1]
    x = x.astype(np.float32)
    y = (x.astype(np.float64) @ [2.0, -1.0, 0.5]).astype(np.float32)[:, None]
    model = head("linreg", "regression", 1).fit(rows(x, y), NOBODY)
    estimator = model.model.estimator  # type: ignore[attr-defined]
    np.testing.assert_allclose(estimator.coef_, [2.0, -1.0, 0.5], atol=5e-5)
    np.testing.assert_allclose(model.scores(x), y, atol=1e-5)
    moved = head("linreg", "regression", 1).fit(rows(x, y + 7), NOBODY)
    np.testing.assert_allclose(moved.scores(x), y + 7, atol=1e-5)


@pytest.mark.parametrize("name", ["forest", "svm", "knn", "dummy"])
def test_labels_that_are_all_constant_are_answered_with_a_warning(
    name: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    x, y = np.random.default_rng(0).normal(size=(10, 3)), np.tile(np.float32([0, 1]), (10, 1))
    with caplog.at_level(logging.WARNING, "diptych.heads"):
        model = head(name, "multilabel", 2).fit(rows(x, y), NOBODY)
    assert "the train rows bear all the same labels" in caplog.text
    np.testing.assert_array_equal(model.scores(x.astype(np.float32)), y)
    model.save(tmp_path)
    np.testing.assert_array_equal(head(name, "multilabel", 2).restore(tmp_path).scores(x.astype(np.float32)), y)


def test_the_svm_ranks_many_classes_as_the_machine_itself_does() -> None:
    # Forty classes give margins up to 39: squashed one by one they would all be 1 in float32, and the first would win.
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(40, 3)) * 10
    y = np.repeat(np.arange(40), 4)
    x = centres[y] + rng.normal(size=(160, 3))
    model = head("svm", "multiclass", 40).fit(rows(x, y), NOBODY)
    scores = model.scores(x.astype(np.float32))
    scaled = (x - x.mean(0)) / x.std(0)
    shared_margins = SVC().fit(scaled, y).decision_function(scaled)
    np.testing.assert_array_equal(scores.argmax(1), shared_margins.argmax(1))
    assert (scores.argmax(1) == y).mean() > 0.9
    assert np.unique(scores[0]).size > 20


def test_the_svm_says_one_half_at_its_own_threshold(make_toy: Any) -> None:
    toy = make_toy("multilabel")
    model = head("svm", "multilabel", 3).fit(rows(toy.blocks[0], toy.y), NOBODY)
    pipeline = model.model.estimator  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.scores(toy.blocks[0]) >= 0.5, pipeline.predict(toy.blocks[0]) == 1)


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_many_machines_share_one_kernel_and_say_the_same(labels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    y = (x @ rng.normal(size=(3, labels)) + rng.normal(size=labels) > 0).astype(np.float32)
    model = head("svm", "multilabel", labels).fit(rows(x[:80], y[:80]), NOBODY)
    estimator = model.model.estimator  # type: ignore[attr-defined]
    assert is_shared(estimator)
    expected = estimator.decision_function(x).reshape(len(x), labels)
    np.testing.assert_allclose(shared_margins(estimator, x), expected, rtol=1e-9, atol=1e-9)
    single = head("svm", "multiclass", 2).fit(rows(x[:80], y[:80, 0].astype(np.int64)), NOBODY)
    assert not is_shared(single.model.estimator)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["forest", "svm"])
def test_class_weights_make_no_sense_for_a_regression(name: str) -> None:
    with pytest.raises(InputError, match=r"expected no `class_weight` in a regression; found 'balanced'; remove"):
        head(name, "regression", 1, class_weight="balanced")


@pytest.mark.parametrize("name", ["forest", "svm"])
def test_balanced_class_weights_find_more_of_a_rare_label(name: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 3))
    y = (x[:, 0] + rng.normal(size=300) > 1.9).astype(np.int64)
    plain = head(name, "multiclass", 2).fit(rows(x, y), NOBODY).scores(x.astype(np.float32)).argmax(1)
    model = head(name, "multiclass", 2, class_weight="balanced").fit(rows(x, y), NOBODY)
    assert model.scores(x.astype(np.float32)).argmax(1).sum() > plain.sum()


def test_a_forest_votes_in_one_thread_so_that_sums_do_not_depend_on_who_comes_first(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    model = head("forest", "multiclass", 3).fit(rows(toy.blocks[0], toy.y), NOBODY)
    assert model.model.estimator.n_jobs == 1  # type: ignore[attr-defined]


@pytest.fixture
def forest_file(make_toy: Any, tmp_path: Path) -> Path:
    toy = make_toy("multiclass")
    head("forest", "multiclass", 3, trees=3).fit(rows(toy.blocks[0], toy.y), NOBODY).save(tmp_path)
    return tmp_path / "head.skops"


LEAF = -1
TREE = {
    "node_count": 5, "n_features": 3, "feature": [2, 0, -2, -2, -2],
    "children_left": [1, 2, LEAF, LEAF, LEAF], "children_right": [4, 3, LEAF, LEAF, LEAF],
}  # fmt: skip


def tree(**changes: Any) -> Any:
    """Return the numbers of a tree without a tree: no file is made of wrong ones.

    scikit-learn 1.9.1 follows those out of its arrays, or for ever.
    """
    kept = {name: np.array(value) if isinstance(value, list) else value for name, value in {**TREE, **changes}.items()}
    return SimpleNamespace(tree_=SimpleNamespace(**kept))


@pytest.mark.parametrize(
    "changes",
    [
        {"children_left": [5, 2, LEAF, LEAF, LEAF]},
        {"children_right": [4, 10_000, LEAF, LEAF, LEAF]},
        {"children_left": [-2, 2, LEAF, LEAF, LEAF]},
        {"children_left": [0, 2, LEAF, LEAF, LEAF]},
        {"children_right": [4, 0, LEAF, LEAF, LEAF]},
        {"children_right": [LEAF, 3, LEAF, LEAF, LEAF]},
        {"feature": [3, 0, -2, -2, -2]},
        {"feature": [2, -1, -2, -2, -2]},
    ],
)
def test_a_tree_that_points_outside_itself_or_back_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    skops_file._check_tree(tree(), tmp_path)
    with pytest.raises(RunError, match=r"expected trees of our own; found one that points outside itself; train it"):
        skops_file._check_tree(tree(**changes), tmp_path)


def test_every_tree_of_a_file_is_looked_at_before_anyone_has_it(
    forest_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def check(estimator: Any, path: Path) -> None:
        assert path == forest_file
        seen.append(estimator.tree_.node_count)
        if len(seen) == 3:
            raise RunError("the third")

    monkeypatch.setattr(skops_file, "_check_tree", check)
    with pytest.raises(RunError, match="the third"):
        head("forest", "multiclass", 3).restore(forest_file.parent)
    assert min(seen) > 1


def test_other_types_than_those_of_a_head_are_not_loaded(tmp_path: Path) -> None:
    save_estimator(tmp_path / "head.skops", {"estimator": zipfile.Path})
    with pytest.raises(UntrustedTypesFoundException):
        load_estimator(tmp_path / "head.skops")


def test_the_file_holds_neither_addresses_nor_dates_nor_padding(forest_file: Path) -> None:
    with zipfile.ZipFile(forest_file) as archive:
        names = [info.filename for info in archive.infolist()]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert max(len(name.split(".")[0]) for name in names if name != "schema.json") <= 4
        for name in names:
            if name.endswith(".npy"):
                with archive.open(name) as stream:
                    array = np.load(stream, allow_pickle=False)
                if array.dtype.names is not None:
                    padding = array.view(np.uint8).reshape(len(array), -1)[:, 57:]
                    assert not padding.any()


def scores(task: Any, outputs: int, train: LabelledRows, x: np.ndarray, neighbours: int) -> np.ndarray:
    model = build_head("knn", train.x.shape[1], HEADS["knn"].options(neighbours=neighbours), Problem(task, outputs, 0))
    return model.fit(train, LabelledRows(train.x[:0], train.y[:0])).scores(x)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree", "ball_tree"])
def test_without_ties_they_are_those_of_every_search_of_scikit_learn(algorithm: str, x: np.ndarray) -> None:
    y = np.random.default_rng(1).integers(0, 4, 90)
    labels, values = np.stack([y % 2, y // 2], axis=1), y[:, None] * 0.3
    for task, targets, kind, outputs in (
        ("multiclass", y, KNeighborsClassifier, 4),
        ("multilabel", labels.astype(np.float32), KNeighborsClassifier, 2),
        ("regression", values.astype(np.float32), KNeighborsRegressor, 1),
    ):
        found = scores(task, outputs, LabelledRows(x[:60], targets[:60]), x[60:], 7)
        peer = kind(7, algorithm=algorithm).fit(x[:60], targets[:60])
        if task == "multiclass":
            expected = peer.predict_proba(x[60:])
        elif task == "multilabel":
            expected = np.stack([each[:, 1] for each in peer.predict_proba(x[60:])], axis=1)
        else:
            expected = peer.predict(x[60:])
        np.testing.assert_allclose(found, expected, atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_of_equally_near_rows_the_first_vote(seed: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    train, asked = (rng.integers(-2, 3, (count, 2)).astype(np.float32) for count in (40, 10))
    distance = ((asked[:, None] - train[None]) ** 2).sum(axis=2)
    first = np.argsort(distance, axis=1, kind="stable")[:, :neighbours]
    found = scores("multilabel", 40, LabelledRows(train, np.eye(40, dtype=np.float32)), asked, neighbours)
    expected = np.zeros((10, 40))
    np.put_along_axis(expected, first, 1 / neighbours, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_queries_that_are_the_gallery_find_themselves(x: np.ndarray) -> None:
    found = scores("multilabel", 90, LabelledRows(x, np.eye(90, dtype=np.float32)), x, 1)
    assert (found.argmax(axis=1) == np.arange(90)).mean() == 1
