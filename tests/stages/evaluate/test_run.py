"""A whole `evaluate` on files: numbers over seeds, counts, tables, and predictions that belong to something else."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.contract import Task
from stages.errors import InputError, RunError
from stages.evaluate.params import EvaluateParams
from stages.evaluate.run import EvaluateInputs, EvaluateOutputs, run

PARTS = ["train", "train", "dev", "dev", "test", "test", "test", "test"]
LABELS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0], [np.nan] * 3], np.float64
)
CLASSES = ("bird", "cup", "sun")


@dataclass
class Case:
    """Eight items and their predictions, which a test may spoil before it evaluates them."""

    dataset: Any
    task: Task = "multilabel"
    targets: np.ndarray = field(default_factory=LABELS.copy)
    classes: tuple[str, ...] = CLASSES
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dataset.write(self.task, self.targets, PARTS, self.classes)

    @property
    def predictions(self) -> Path:
        return self.dataset.root / "predictions.parquet"

    @property
    def outputs(self) -> EvaluateOutputs:
        return EvaluateOutputs(self.dataset.root / "metrics" / "x.json", self.dataset.root / "tables" / "x")

    def predict(self, scores: dict[int, dict[int, list[float]]], parts: list[str] | None = None) -> None:
        """Write scores {seed: {row: scores}} as `train` does."""
        shown = parts or PARTS
        rows = [(seed, row, each) for seed, found in scores.items() for row, each in found.items()]
        about = {
            "task": self.task,
            "classes": list(self.classes),
            "features": ["t", "v"],
            "fusion": "late",
            "head": "mlp",
        }
        schema = pa.schema(
            [("seed", pa.int64()), ("id", pa.string()), ("part", pa.string()), ("scores", pa.list_(pa.float32()))],
            metadata={b"diptych": json.dumps({**about, **self.about}).encode()},
        )
        columns = [
            [seed for seed, _, _ in rows], [f"i{row:03}" for _, row, _ in rows],
            [shown[row] for _, row, _ in rows], [each for _, _, each in rows],
        ]  # fmt: skip
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), self.predictions)

    def evaluate(self, **params: Any) -> dict[str, Any]:
        inputs = EvaluateInputs(self.dataset.manifest, self.dataset.split, self.predictions)
        return run(EvaluateParams(**params), inputs, self.outputs)

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.outputs.tables / name).open(newline="") as stream:
            return list(csv.DictReader(stream))


RIGHT = {
    2: [0.9, 0.1, 0.1],
    3: [0.1, 0.9, 0.1],
    4: [0.9, 0.2, 0.1],
    5: [0.1, 0.8, 0.9],
    6: [0.7, 0.6, 0.0],
    7: [0, 0, 0],
}
HALF = {**RIGHT, 4: [0.2, 0.8, 0.1], 6: [0.7, 0.1, 0.0]}


@pytest.fixture
def case(dataset: Any) -> Case:
    return Case(dataset)


def test_perfect_predictions_score_one_and_everything_is_told(case: Case) -> None:
    case.predict({0: RIGHT})
    values = case.evaluate()
    assert values == json.loads(case.outputs.metrics.read_text())
    for name in ("f1_macro", "f1_micro", "f1_samples", "f1_weighted", "subset_accuracy", "label_accuracy"):
        assert values[name] == 1.0
        assert f"{name}_std" not in values
    expected = {
        "rows": 3, "unlabelled": 1, "untrained_classes": 1, "untrained_rows": 1, "seeds": 1, "part": "test",
        "threshold": 0.5, "task": "multilabel", "features": "t + v", "fusion": "late", "head": "mlp",
        "predictions_digest": hashlib.sha256(case.predictions.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected


def test_mean_and_sample_deviation_over_seeds(case: Case) -> None:
    case.predict({5: HALF, 2: RIGHT})
    values = case.evaluate()
    assert values["seeds"] == 2
    assert values["subset_accuracy"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-6)
    assert values["subset_accuracy_std"] == pytest.approx(np.std([1, 1 / 3], ddof=1), abs=1e-6)


def test_the_order_of_rows_and_seeds_in_the_file_does_not_matter(case: Case) -> None:
    case.predict({5: HALF, 2: RIGHT})
    first = case.evaluate(), case.table("confusion.csv")
    case.predict({2: dict(reversed(RIGHT.items())), 5: dict(reversed(HALF.items()))})
    second = case.evaluate(), case.table("confusion.csv")
    for values, _ in (first, second):
        values.pop("predictions_digest")
    assert first == second


def test_the_dev_part_can_be_scored_instead(case: Case) -> None:
    case.predict({0: RIGHT})
    values = case.evaluate(part="dev")
    assert (values["part"], values["rows"], values["unlabelled"], values["untrained_rows"]) == ("dev", 2, 0, 0)


def test_a_class_that_train_lacks_counts_although_no_test_row_bears_it(dataset: Any) -> None:
    case = Case(
        dataset, classes=("bird", "cup", "sun", "never"), targets=np.concatenate([LABELS, LABELS[:, 2:] * 0], 1)
    )
    case.predict({0: {row: [*each, 0.0] for row, each in RIGHT.items()}})
    values = case.evaluate()
    assert (values["untrained_classes"], values["untrained_rows"]) == (2, 1)
    assert values["f1_macro"] == 1.0
    assert values["f1_macro_all"] == 0.75


def test_the_threshold_and_the_fallback_decide(case: Case) -> None:
    case.predict({0: {row: [each / 4 for each in scores] for row, scores in RIGHT.items()}})
    assert case.evaluate()["f1_macro"] == 0.0
    assert case.evaluate(fallback="argmax")["subset_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    lower = case.evaluate(threshold=0.125)
    assert (lower["subset_accuracy"], lower["threshold"]) == (1.0, 0.125)


def test_a_threshold_tuned_on_dev_is_taken_per_seed_and_told_of_the_first(case: Case) -> None:
    weak = {row: [0.225 if each >= 0.5 else 0.025 for each in scores] for row, scores in RIGHT.items()}
    case.predict({1: RIGHT, 0: weak})
    values = case.evaluate(threshold="dev")
    assert values["subset_accuracy"] == 1.0
    assert values["threshold"] == 0.225
    case.predict({0: {**RIGHT, 2: weak[2], 3: weak[3]}})
    assert case.evaluate(threshold="dev")["threshold"] == values["threshold"], "test rows have no say"


def test_one_table_row_per_class_and_the_confusion_of_the_smallest_seed(case: Case) -> None:
    case.predict({4: HALF, 1: RIGHT})
    case.evaluate()
    rows = case.table("per_class.csv")
    assert [row["class"] for row in rows] == list(CLASSES)
    assert [row["super_class"] for row in rows] == ["BIRD", "CUP", "SUN"]
    assert [row["support"] for row in rows] == ["2", "2", "1"]
    bird = rows[0]
    assert (float(bird["recall"]), float(bird["precision"])) == (0.75, 1.0)
    assert float(bird["f1"]) == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert float(bird["f1_std"]) == pytest.approx(np.std([1, 2 / 3], ddof=1), abs=1e-6)
    pairs = [(row["actual"], row["predicted"]) for row in case.table("confusion.csv")]
    assert pairs == [("bird", "bird"), ("cup", "cup"), ("sun", "sun"), ("bird", "bird"), ("cup", "cup")]


def test_a_single_seed_leaves_the_deviation_blank(case: Case) -> None:
    case.predict({0: HALF})
    case.evaluate()
    assert {row["f1_std"] for row in case.table("per_class.csv")} == {""}
    pairs = [(row["actual"], row["predicted"]) for row in case.table("confusion.csv")]
    assert ("bird", "cup") in pairs
    assert ("cup", "(nothing)") in pairs


def test_single_classes(dataset: Any) -> None:
    case = Case(dataset, "multiclass", np.array([0, 1, 0, 1, 0, 1, 2, -1]))
    scores = {2: [1, 0, 0], 3: [1, 0, 0], 4: [0.5, 0.3, 0.2], 5: [0.4, 0.4, 0.2], 6: [0.1, 0.6, 0.3], 7: [0, 0, 1]}
    case.predict({0: scores})
    values = case.evaluate(top_k=2)
    assert values["accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert values["top_2"] == values["balanced_top_2"] == 1.0
    assert (values["rows"], values["unlabelled"], values["untrained_classes"], values["untrained_rows"]) == (3, 1, 1, 1)
    pairs = [(row["actual"], row["predicted"]) for row in case.table("confusion.csv")]
    assert pairs == [("bird", "bird"), ("cup", "bird"), ("sun", "cup")]


def test_a_regression_has_errors_and_empty_tables(dataset: Any) -> None:
    case = Case(dataset, "regression", np.array([0, 1, 2, 3, 1.0, 2.0, 3.0, np.nan]), ())
    case.predict({0: {2: [0.0], 3: [0.0], 4: [1.5], 5: [2.0], 6: [2.5], 7: [9.0]}})
    values = case.evaluate()
    assert values["mse"] == pytest.approx(0.5 / 3, abs=1e-6)
    assert values["r2"] == pytest.approx(1 - 0.5 / 2, abs=1e-6)
    assert "untrained_classes" not in values
    assert case.table("per_class.csv") == case.table("confusion.csv") == []


def test_dev_thresholds_mean_nothing_where_nothing_is_thresholded(dataset: Any) -> None:
    case = Case(dataset, "regression", np.arange(8.0), ())
    case.predict({0: {row: [float(row)] for row in range(2, 8)}})
    assert case.evaluate(threshold="dev")["mse"] == 0.0


def test_the_same_inputs_give_the_same_bytes(case: Case) -> None:
    case.predict({0: RIGHT, 1: HALF})
    found = []
    for _ in range(2):
        case.evaluate()
        found.append(
            [case.outputs.metrics.read_bytes(), *(p.read_bytes() for p in sorted(case.outputs.tables.iterdir()))]
        )
    assert found[0] == found[1]


def refused(case: Case, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        case.evaluate()
    assert not case.outputs.metrics.exists()
    assert not case.outputs.tables.exists()


def test_a_test_row_without_a_prediction_is_refused(case: Case) -> None:
    case.predict({0: {row: each for row, each in RIGHT.items() if row != 5}})
    refused(
        case, RunError, r"one prediction for each of 4 test rows; found 3, 1 rows lacking .* such as 'i005'; run `dvc"
    )


def test_a_seed_that_lacks_a_row_is_refused(case: Case) -> None:
    case.predict({0: RIGHT, 1: {row: each for row, each in RIGHT.items() if row != 7}})
    refused(case, RunError, r"found 3, 1 rows lacking and 0 of another part, such as 'i007'")


def test_predictions_for_rows_that_the_split_calls_train_now_are_refused(case: Case) -> None:
    case.predict({0: {**RIGHT, 0: [0.1, 0.1, 0.1]}}, parts=["test", *PARTS[1:]])
    refused(case, RunError, r"found 5, 0 rows lacking and 1 of another part, such as 'i000'")


def test_a_row_predicted_twice_is_refused(case: Case) -> None:
    case.predict({0: RIGHT})
    table = pq.read_table(case.predictions)
    pq.write_table(pa.concat_tables([table, table.slice(5, 1)]), case.predictions)
    refused(case, RunError, r"one prediction for each of 4 test rows; found 5, 0 rows lacking and 0 of another part")


def test_no_predictions_for_the_part_are_refused(case: Case) -> None:
    case.predict({0: {row: RIGHT[row] for row in (2, 3)}})
    refused(case, RunError, "expected predictions for the test rows; found none")


@pytest.mark.parametrize("classes", [["cup", "bird", "sun"], ["bird", "cup"]])
def test_scores_of_other_classes_are_refused(case: Case, classes: list[str]) -> None:
    case.about = {"classes": classes}
    case.predict({0: RIGHT})
    refused(
        case, RunError, rf"scores of the 3 classes .* in its order; found {len(classes)} that differ in name or order"
    )


def test_predictions_for_another_task_are_refused(case: Case) -> None:
    case.about = {"task": "multiclass"}
    case.predict({0: RIGHT})
    refused(case, RunError, "expected predictions for the task multilabel; found the task multiclass")


def test_another_number_of_scores_is_refused(case: Case) -> None:
    case.predict({0: {**RIGHT, 5: [0.1, 0.2]}})
    refused(case, RunError, "expected 3 scores for each row; found another number")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(case: Case, value: float) -> None:
    case.predict({0: {**RIGHT, 5: [0.1, 0.2, value]}})
    refused(case, RunError, "expected finite scores; found NaN or infinity")


def test_predictions_that_are_not_there_or_something_else_are_named(case: Case) -> None:
    refused(case, InputError, r"expected predictions at .*predictions.parquet; found no file; run `diptych train`")
    case.predictions.write_text("not Parquet")
    refused(case, InputError, r"expected predictions at .*predictions.parquet; found another file")
    pq.write_table(pa.table({"a": [1]}), case.predictions)
    refused(case, InputError, r"expected predictions at .*predictions.parquet; found another file")


def test_a_part_without_labels_is_refused(dataset: Any) -> None:
    labels = LABELS.copy()
    labels[4:] = np.nan
    case = Case(dataset, targets=labels)
    case.predict({0: RIGHT})
    refused(case, InputError, "expected labelled test rows; found none; check the split and the labels")


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0}, {"threshold": 1.0}, {"threshold": "test"}, {"threshold": "dev", "part": "dev"},
        {"part": "train"}, {"fallback": "max"}, {"top_k": 0}, {"k": 3},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EvaluateParams(**wrong)
