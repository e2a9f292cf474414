"""Scaling, fusion and head as one model, for every pair that `train` allows: repeatable, restorable, without leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from stages.models.fusions.catalog import FUSIONS, AttentionOptions, ModelSpec, NoOptions, count_mistakes
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem
from store.errors import RunError
from store.items.records import Task

TASKS: dict[str, tuple[Task, ...]] = {**{row.name: row.tasks for row in HEADS.values()}, "native": get_args(Task)}
PAIRS = [(fusion, head) for fusion in ("none", "concat", "late") for head in HEADS if TASKS[head]]
PAIRS += [("attention", "native")]
LABELLED = [(fusion, head) for fusion, head in PAIRS if "multilabel" in TASKS[head]]
SUFFIXES = {".safetensors", ".json", ".skops"}
QUICK: dict[str, dict[str, Any]] = {
    "linear": {"epochs": 15, "lr": 0.05, "batch": 32},
    "mlp": {"epochs": 15, "lr": 0.02, "batch": 32, "hidden": (16,)},
    "dnn": {"epochs": 3},
    "forest": {"trees": 10, "max_depth": None},
}
ATTENTION = {"epochs": 20, "lr": 0.01, "batch": 32, "width": 16, "hidden": (16,)}


def recipe(fusion: str, head: str, scale: Any = "standard") -> ModelSpec:
    if fusion == "attention":
        return ModelSpec(fusion, head, scale, AttentionOptions(**ATTENTION), None)
    return ModelSpec(fusion, head, scale, FUSIONS[fusion].options(), HEADS[head].options(**QUICK.get(head, {})))


def build(fusion: str, head: str, toy: Any, task: Task, seed: int = 0) -> FusedModel:
    widths = (9,) if fusion == "none" else (5, 4)
    return FusedModel(widths, recipe(fusion, head), Problem(task, toy.outputs, seed))


def features(fusion: str, toy: Any) -> np.ndarray:
    return np.concatenate([*toy.blocks, np.ones((160, 1))], 1).astype(np.float32) if fusion == "none" else toy.joined


def fitted(fusion: str, head: str, toy: Any, task: Task, x: np.ndarray, seed: int = 0) -> FusedModel:
    train, dev = LabelledRows(x[:100], toy.y[:100]), LabelledRows(x[100:120], toy.y[100:120])
    return build(fusion, head, toy, task, seed).fit(train, dev)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("fusion", "head", "task"), [(fusion, head, task) for fusion, head in PAIRS for task in TASKS[head]]
)
def test_it_comes_back_from_disk_without_pickle(
    fusion: str, head: str, task: Task, make_toy: Any, tmp_path: Path
) -> None:
    toy = make_toy(task)
    x = features(fusion, toy)
    model = fitted(fusion, head, toy, task, x)
    model.save(tmp_path)
    again = build(fusion, head, toy, task, seed=5).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(x[120:]), model.scores(x[120:]))
    assert {Path(name).suffix for name in files(tmp_path)} <= SUFFIXES


@pytest.mark.parametrize(("fusion", "head"), LABELLED)
def test_equal_seeds_give_equal_files(fusion: str, head: str, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    x = features(fusion, toy)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        fitted(fusion, head, toy, "multilabel", x, seed=4).save(tmp_path / name)
    assert files(tmp_path / "first") == files(tmp_path / "second")


@pytest.mark.parametrize("task", get_args(Task))
@pytest.mark.parametrize(("fusion", "head"), [("concat", "mlp"), ("late", "mlp"), ("attention", "native")])
def test_two_modalities_together_beat_each_alone(fusion: str, head: str, task: Task, make_toy: Any) -> None:
    toy = make_toy(task, count=600)
    x, y = toy.joined, toy.y

    def wrong(model: FusedModel, rows: np.ndarray) -> float:
        scores = model.scores(rows[400:])
        if task == "regression":
            return float(((scores - y[400:]) ** 2).mean())
        return float(
            (scores.argmax(1) != y[400:]).mean() if task == "multiclass" else ((scores >= 0.5) != y[400:]).mean()
        )

    def train(model: FusedModel, rows: np.ndarray) -> float:
        return wrong(model.fit(LabelledRows(rows[:300], y[:300]), LabelledRows(rows[300:400], y[300:400])), rows)

    about = Problem(task, toy.outputs, 0)
    alone = [
        train(
            FusedModel((width,), recipe("none", "mlp"), about),
            np.concatenate([block, np.ones((600, 1), np.float32)], 1),
        )
        for width, block in zip((5, 4), toy.blocks, strict=True)
    ]
    assert train(FusedModel((5, 4), recipe(fusion, head), about), x) < 0.9 * min(alone)


def with_placeholder(toy: Any, value: float) -> np.ndarray:
    """Every third row lacks the first input, every seventh the second; there stands `value` instead."""
    x = toy.joined.copy()
    x[::3, :5], x[::3, 9] = value, 0
    x[1::7, 5:9], x[1::7, 10] = value, 0
    x[21, 5:9], x[21, 10] = toy.blocks[1][21], 1
    both = (x[:, 9] == 0) & (x[:, 10] == 0)
    x[both, 5:9], x[both, 10] = toy.blocks[1][both], 1
    return x


@pytest.mark.parametrize(
    ("fusion", "head"), [("attention", "native"), *((fusion, head) for fusion, head in LABELLED if fusion == "late")]
)
def test_the_placeholder_of_a_missing_input_leaks_neither_into_the_model_nor_into_the_scores(
    fusion: str, head: str, make_toy: Any, tmp_path: Path
) -> None:
    toy = make_toy("multilabel")
    found = []
    for name, value in (("zero", 0.0), ("wild", 123.0)):
        x = with_placeholder(toy, value)
        model = fitted(fusion, head, toy, "multilabel", x)
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
        found.append((files(tmp_path / name), model.scores(x[120:]).tobytes()))
    assert found[0] == found[1]


def test_scaling_is_learnt_from_train_rows_only(make_toy: Any) -> None:
    toy = make_toy("multilabel")
    wild = toy.joined.copy()
    wild[100:, :9] *= 1e3
    models = [fitted("concat", "forest", toy, "multilabel", x) for x in (toy.joined, wild)]
    np.testing.assert_array_equal(models[0].scaler.mean_, models[1].scaler.mean_)
    np.testing.assert_array_equal(models[0].scores(toy.joined), models[1].scores(toy.joined))


def test_a_recipe_without_a_head_is_refused() -> None:
    model = FusedModel((3,), ModelSpec("none", "native", "none", NoOptions(), None), Problem("multilabel", 2, 0))
    train, none = LabelledRows(np.ones((4, 4), np.float32), np.ones((4, 2), np.float32)), np.ones((0, 4), np.float32)
    with pytest.raises(RunError, match=r"fusion 'none': expected a head of the catalogue; found 'native'"):
        model.fit(train, LabelledRows(none, none[:, :2]))


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("none", 1, []), ("concat", 1, []), ("concat", 3, []), ("late", 2, []),
        ("none", 2, ["fusion 'none' takes exactly one of `features`; found 2; use concat"]),
        ("attention", 1, ["fusion 'attention' joins at least 2 features; found 1"]),
    ],
)  # fmt: skip
def test_each_fusion_takes_its_number_of_inputs(name: str, features: int, expected: list[str]) -> None:
    assert count_mistakes(FUSIONS[name], features) == expected
