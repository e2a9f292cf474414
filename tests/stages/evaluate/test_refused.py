"""Predictions that belong to something else, and wrong parameters: refused, and all that stood there stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.evaluate.params import EvaluateParams
from store.errors import InputError, RunError
from tests.stages.evaluate.case import LABELS, PARTS, RIGHT, TRAINED_PARTS, Case, Experiment


def refused(case: Case, error: type[Exception], message: str) -> None:
    for old in (case.outputs.card, case.outputs.tables / "per_class.csv"):
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_text("of another run")
    before = contents(case)
    with pytest.raises(error, match=message):
        case.evaluate()
    assert contents(case) == before


def contents(case: Case) -> dict[str, bytes]:
    root: Path = case.dataset.root
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_test_row_without_a_prediction_is_refused(case: Case) -> None:
    case.predict({0: {row: each for row, each in RIGHT.items() if row != 5}})
    refused(
        case, RunError, r"one prediction for each of 4 test rows; found 3, 1 rows lacking.* such as 'i005'; run `dvc"
    )


def test_a_seed_that_lacks_a_row_is_refused(case: Case) -> None:
    case.predict({0: RIGHT, 1: {row: each for row, each in RIGHT.items() if row != 7}})
    refused(case, RunError, r"found 3, 1 rows lacking, 0 of another part and 0 more than once, such as 'i007'")


def test_predictions_for_rows_that_the_split_calls_train_now_are_refused(case: Case) -> None:
    case.predict({0: {**RIGHT, 0: [0.1, 0.1, 0.1]}}, parts=["test", *PARTS[1:]])
    refused(case, RunError, r"found 5, 0 rows lacking, 1 of another part and 0 more than once, such as 'i000'")


def test_a_row_predicted_twice_is_refused(case: Case) -> None:
    case.predict({0: RIGHT})
    table = pq.read_table(case.predictions)
    pq.write_table(pa.concat_tables([table, table.slice(5, 1)]), case.predictions)
    refused(case, RunError, r"found 5, 0 rows lacking, 0 of another part and 1 more than once, such as 'i007'")


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


def test_predictions_for_another_manifest_are_refused_although_its_ids_and_classes_are_the_same(case: Case) -> None:
    case.about = {"manifest": "0123456789abcdef"}
    case.predict({0: RIGHT})
    refused(case, RunError, r"for the manifest [0-9a-f]{12}; found those for another, 0123456789ab; run `dvc repro`")


def test_predictions_of_rows_that_the_manifest_does_not_have_are_refused(case: Case) -> None:
    case.predict({0: {**RIGHT, 8: [0.1, 0.1, 0.1]}}, parts=[*PARTS, "test"])
    refused(case, RunError, r"found 5, 0 rows lacking, 1 of another part and 0 more than once, such as 'i008'")


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


def test_labels_that_changed_since_the_training_are_noticed(make_experiment: Callable[..., Experiment]) -> None:
    experiment = make_experiment()
    experiment.train("knn")
    experiment.evaluate(missing=None)
    experiment.dataset.write("multilabel", 1 - experiment.targets, TRAINED_PARTS)
    with pytest.raises(RunError, match=r"expected predictions for the manifest .* found those for another"):
        experiment.evaluate(missing=None)
