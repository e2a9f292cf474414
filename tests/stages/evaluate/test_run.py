"""A whole `evaluate` on files: numbers over seeds, counts and tables."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from tests.rules.cards import read_card
from tests.stages.evaluate.case import CLASSES, HALF, LABELS, RIGHT, Case


def test_perfect_predictions_score_one_and_everything_is_told(case: Case) -> None:
    case.predict({0: RIGHT})
    values = case.evaluate()
    assert values == read_card(case.outputs.card)
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


def test_rows_of_untrained_classes_count_as_errors_and_are_told_apart(case: Case) -> None:
    case.predict({0: {**RIGHT, 5: [0.1, 0.8, 0.1]}, 1: RIGHT})
    values = case.evaluate()
    assert values["subset_accuracy"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    assert (values["untrained_only_subset_accuracy"], values["untrained_excluded_subset_accuracy"]) == (0.5, 1.0)
    assert (values["untrained_only_f1_macro"], values["untrained_excluded_f1_macro"]) == (0.75, 1.0)
    assert not [name for name in case.evaluate(part="dev") if name.startswith(("untrained_only", "untrained_excl"))]


def test_where_every_row_is_of_an_untrained_class_there_are_no_others(dataset: Any) -> None:
    case = Case(dataset, "multiclass", np.array([0, 1, 0, 1, 2, 2, 2, -1]))
    case.predict({0: {row: [1, 0, 0] for row in range(2, 8)}})
    values = case.evaluate()
    assert values["untrained_rows"] == values["rows"] == 3
    assert values["untrained_only_accuracy"] == values["accuracy"] == 0
    assert "untrained_excluded_accuracy" not in values


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
    assert list(rows[0]) == ["class", "super_class", "support", "accuracy", "precision", "recall", "f1", "f1_std"]
    assert [float(row["accuracy"]) for row in rows] == pytest.approx([1 - 1 / 6, 1 - 2 / 6, 1], abs=1e-6)
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
        found.append([case.outputs.card.read_bytes(), *(p.read_bytes() for p in sorted(case.outputs.tables.iterdir()))])
    assert found[0] == found[1]
