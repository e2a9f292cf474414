"""What holds for every head and every task: it learns, repeats itself, and comes back from disk without pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.model import LabelledRows, Model, Problem
from store.errors import InputError
from store.items.records import Task

TASKS: tuple[Task, ...] = get_args(Task)
QUICK: dict[str, dict[str, Any]] = {
    "linear": {"epochs": 40, "lr": 0.05, "batch": 32},
    "mlp": {"epochs": 25, "lr": 0.02, "batch": 32, "hidden": (16, 8)},
    "dnn": {"lr": 0.01},
    "forest": {"trees": 20, "max_depth": None},
}
EVERY = pytest.mark.parametrize(("name", "task"), [(row.name, task) for row in HEADS.values() for task in row.tasks])


def doing(task: Task) -> list[str]:
    return [row.name for row in HEADS.values() if task in row.tasks]


def head(name: str, task: Task, outputs: int, width: int, seed: int = 0, **options: Any) -> Model:
    chosen = HEADS[name].options(**{**QUICK.get(name, {}), **options})
    return build_head(name, width, chosen, Problem(task, outputs, seed))


def fitted(name: str, toy: Any, task: Task, seed: int = 0) -> tuple[Model, LabelledRows]:
    x = np.concatenate(toy.blocks, axis=1)
    test = LabelledRows(x[120:], toy.y[120:])
    model = head(name, task, toy.outputs, x.shape[1], seed).fit(
        LabelledRows(x[:100], toy.y[:100]), LabelledRows(x[100:120], toy.y[100:120])
    )
    return model, test


def loss(scores: np.ndarray, y: np.ndarray, task: Task) -> float:
    """Share of wrong decisions, or mean squared error."""
    if task == "regression":
        return float(((scores - y) ** 2).mean())
    return float((scores.argmax(1) != y).mean() if task == "multiclass" else ((scores >= 0.5) != y).mean())


def test_the_catalogue_holds_the_heads_of_the_specification_with_their_tasks() -> None:
    assert list(HEADS) == ["linear", "mlp", "dnn", "forest", "linreg", "svm", "knn", "kmeans_svm", "dummy"]
    some = {"linreg": ("regression",), "kmeans_svm": ()}
    assert {row.name: row.tasks for row in HEADS.values()} == {name: some.get(name, TASKS) for name in HEADS}
    assert [row.name for row in HEADS.values() if row.ranks] == ["knn", "kmeans_svm"]


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("linreg", "multiclass", r"head 'linreg' does \['regression'\]; found task 'multiclass'; choose another head"),
        ("linreg", "multilabel", r"head 'linreg' does \['regression'\]; found task 'multilabel'; choose another head"),
        ("kmeans_svm", "multiclass", "head 'kmeans_svm' ranks a gallery and predicts no labels: .* a `retrieve` entry"),
    ],
)
def test_a_task_that_a_head_does_not_do_is_refused_with_the_reason(name: str, task: Task, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        head(name, task, 3, 4)


@EVERY
def test_scores_have_one_column_per_output_and_are_probabilities(name: str, task: Task, make_toy: Any) -> None:
    model, test = fitted(name, make_toy(task), task)
    scores = model.scores(test.x)
    assert scores.shape == (40, 1 if task == "regression" else 3)
    assert scores.dtype == np.float32
    if task != "regression":
        assert scores.min() >= 0
        assert scores.max() <= 1
    if task == "multiclass":
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@EVERY
def test_a_separable_problem_is_learnt_far_better_than_by_dummy(name: str, task: Task, make_toy: Any) -> None:
    toy = make_toy(task)
    model, test = fitted(name, toy, task)
    floor, _ = fitted("dummy", toy, task)
    mine, other = loss(model.scores(test.x), test.y, task), loss(floor.scores(test.x), test.y, task)
    assert mine == other if name == "dummy" else mine < 0.75 * other


@EVERY
def test_a_restored_head_gives_the_same_scores(name: str, task: Task, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy(task)
    model, test = fitted(name, toy, task)
    model.save(tmp_path)
    again = head(name, task, toy.outputs, test.x.shape[1], seed=99).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(test.x), model.scores(test.x))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".safetensors", ".json", ".skops"}


def saved_bytes(name: str, task: Task, seed: int, toy: Any, folder: Path) -> tuple[dict[str, bytes], bytes]:
    folder.mkdir()
    model, test = fitted(name, toy, task, seed)
    model.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, model.scores(test.x).tobytes()


@EVERY
def test_equal_seeds_give_equal_bytes(name: str, task: Task, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy(task)
    first = saved_bytes(name, task, 3, toy, tmp_path / "first")
    np.random.default_rng().random(100_000).tolist()  # so that memory is not laid out the same way again
    assert saved_bytes(name, task, 3, toy, tmp_path / "second") == first


@pytest.mark.parametrize("name", ["linear", "mlp", "dnn", "forest"])
@pytest.mark.parametrize("task", TASKS)
def test_different_seeds_give_different_models(name: str, task: Task, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy(task)
    first = saved_bytes(name, task, 0, toy, tmp_path / "first")
    second = saved_bytes(name, task, 1, toy, tmp_path / "second")
    assert first[0] != second[0]
    assert first[1] != second[1]


@EVERY
def test_no_rows_get_no_scores(name: str, task: Task, make_toy: Any) -> None:
    model, test = fitted(name, make_toy(task), task)
    assert model.scores(test.x[:0]).shape == (0, 1 if task == "regression" else 3)


@pytest.mark.parametrize("task", TASKS)
def test_dummy_says_prevalence_prior_or_mean_whatever_it_sees(task: Task, make_toy: Any) -> None:
    toy = make_toy(task)
    model, test = fitted("dummy", toy, task)
    train = toy.y[:100]
    expected = np.bincount(train, minlength=3) / 100 if task == "multiclass" else train.mean(axis=0)
    np.testing.assert_allclose(model.scores(test.x), np.tile(expected, (40, 1)), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in doing("multiclass") if name != "dummy"])
def test_a_class_without_train_rows_keeps_its_column_and_is_not_predicted(name: str, make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x = np.concatenate(toy.blocks, axis=1)
    classes = np.array([0, 2, 3])[toy.y]  # of five classes, 1 and 4 never occur
    model = head(name, "multiclass", 5, x.shape[1]).fit(
        LabelledRows(x[:120], classes[:120]), LabelledRows(x[:0], classes[:0])
    )
    scores = model.scores(x[120:])
    assert scores.shape == (40, 5)
    assert not np.isin(scores.argmax(axis=1), (1, 4)).any()
    assert (scores.argmax(axis=1) == classes[120:]).mean() > 0.5
    if name in {"forest", "svm", "knn"}:
        assert not scores[:, [1, 4]].any()


@pytest.mark.parametrize("name", doing("multilabel"))
def test_labels_that_train_always_or_never_has_are_answered_so(name: str, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    x = np.concatenate(toy.blocks, axis=1)
    y = np.stack([np.zeros(160), toy.y[:, 0], np.ones(160), toy.y[:, 1]], axis=1).astype(np.float32)
    model = head(name, "multilabel", 4, x.shape[1]).fit(LabelledRows(x[:120], y[:120]), LabelledRows(x[:0], y[:0]))
    scores = model.scores(x[120:])
    assert (scores[:, 0] < 0.5).all()
    assert (scores[:, 2] >= 0.5).all()
    if name != "dummy":
        assert ((scores[:, [1, 3]] >= 0.5) == y[120:][:, [1, 3]]).mean() > 0.7


@pytest.mark.parametrize("name", ["forest", "svm", "knn", "dummy"])
def test_a_single_label_left_to_learn(name: str, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    x = np.concatenate(toy.blocks, axis=1)
    y = np.stack([np.zeros(160), toy.y[:, 0]], axis=1).astype(np.float32)
    model = head(name, "multilabel", 2, x.shape[1]).fit(LabelledRows(x[:120], y[:120]), LabelledRows(x[:0], y[:0]))
    scores = model.scores(x[120:])
    assert scores.shape == (40, 2)
    assert not scores[:, 0].any()
    if name != "dummy":
        assert ((scores[:, 1] >= 0.5) == y[120:, 1]).mean() > 0.7
    model.save(tmp_path)
    np.testing.assert_array_equal(head(name, "multilabel", 2, 9).restore(tmp_path).scores(x[120:]), scores)
