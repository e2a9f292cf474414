"""What is said of an item, how good that is, which items and classes get shown, and the most confused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.measures.decisions import Decision
from stages.report.draw.figures import count_pairs, most_confused
from stages.report.sections.measured.examples import Confusion, label_quality, pick, read_mistakes
from store.items.records import Task
from tests.stages.report.outcome_files import Decide, outcomes, truth_of, write_outcomes
from tests.stages.report.read.test_outcomes import cards_of
from tests.stages.report.run_folder import RunFolder


def test_half_is_enough_for_many_labels_and_the_first_highest_wins_for_one() -> None:
    scores = np.array([[0.5, 0.49, 0.9], [0.2, 0.2, 0.1]], np.float32)
    assert Decision().classes(scores, "multilabel").tolist() == [[True, False, True], [False, False, False]]
    assert Decision().classes(scores, "multiclass").argmax(axis=1).tolist() == [2, 0]


def test_quality_orders_by_f1_and_then_by_sureness() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    scores = np.array([[0.9, 0.0], [0.6, 0.4], [0.6, 0.6], [0.0, 0.0]], np.float32)
    quality = label_quality(scores, scores >= 0.5, truth)
    assert np.argsort(-quality).tolist() == [3, 0, 1, 2]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(0, 30), st.integers(0, 5))
def test_no_item_is_shown_twice_and_as_many_as_asked_are(rows: int, count: int, seed: int) -> None:
    quality = np.random.default_rng(seed).random(rows)
    best, worst = pick(quality, count, seed)
    shown = [*best.tolist(), *worst.tolist()]
    assert len(shown) == len(set(shown)) == min(rows, count)
    if len(worst):
        assert quality[best].min() >= quality[worst].max()


def test_the_most_confused_classes_are_chosen_and_nothing_is_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a", "b")] * 3 + [("c", "(nothing)")] * 9 + [("d", "a")] + [("e", "e")] * 5
    pairs = count_pairs([{"actual": actual, "predicted": predicted} for actual, predicted in rows])
    assert most_confused(pairs) == ["a", "b", "c", "d", "e"]
    monkeypatch.setattr("stages.report.draw.figures.SHOWN", 3)
    assert most_confused(pairs) == ["a", "b", "d"]


def read(root: Path, task: Task, decide: Decide) -> tuple[RunFolder, list[Confusion]]:
    folder = RunFolder(root, task)
    folder.write_data()
    write_outcomes(folder, "one", outcomes(folder, decide))
    return folder, read_mistakes("one", cards_of(folder), root / "data" / "evaluate")


def test_the_most_frequent_pair_comes_first_and_only_the_first_seed_counts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "multiclass")
    first, second, third, fourth, *_ = folder.classes
    said = {1: [first], 7: [first], 13: [first], 19: [first], 3: [third]}
    found = read(
        tmp_path,
        "multiclass",
        lambda seed, row: truth_of(folder, row) if seed else said.get(row, truth_of(folder, row)),
    )[1]
    assert [(one.actual, one.predicted, one.count) for one in found] == [(second, first, 4), (fourth, third, 1)]
    assert [len(one.mistakes) for one in found] == [3, 1]
    example = found[0].mistakes[0].example
    assert example.card.item == folder.ids[1]
    assert [(mark.label, mark.outcome) for mark in example.marks] == [(second, "missed"), (first, "false alarm")]
    assert found[0].mistakes[0].score == pytest.approx(0.9)


def test_of_several_labels_a_missed_one_meets_each_wrong_one_and_the_surest_item_comes_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    bird, food, tool, weather, plant, sport = folder.classes
    # Row 3 bears weather and sport, row 9 too; on row 9 the wrong class is the second best.
    said = {3: [plant], 9: [sport, plant], 21: [weather, sport, plant]}
    found = read(tmp_path, "multilabel", lambda _, row: said.get(row, truth_of(folder, row)))[1]
    pairs = {(one.actual, one.predicted): [each.example.card.item for each in one.mistakes] for one in found}
    assert pairs == {(weather, plant): ["item-003", "item-009"], (sport, plant): ["item-003"]}
    assert [each.score for each in found[0].mistakes] == pytest.approx([0.9, 0.8])
    assert {bird, food, tool}.isdisjoint(label for pair in pairs for label in pair)


def test_a_score_that_is_not_among_the_best_is_unknown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "multiclass")
    folder.write_data(images=False)
    columns = outcomes(folder, lambda _, row: folder.classes[:1] if row == 1 else truth_of(folder, row), seeds=1)
    columns["top"][0], columns["top_scores"][0] = list(folder.classes[1:6]), [0.2] * 5
    write_outcomes(folder, "one", columns)
    (found,) = read_mistakes("one", cards_of(folder), tmp_path / "data" / "evaluate")
    assert found.mistakes[0].score is None


def test_nothing_confused_nothing_left_and_a_regression_give_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read(tmp_path, "multilabel", lambda _, row: truth_of(folder, row))[1] == []
    assert read_mistakes("other", cards_of(folder), tmp_path / "data" / "evaluate") == []
    values = RunFolder(tmp_path / "values", "regression")
    values.write_data(images=False)
    assert read_mistakes("one", cards_of(values), tmp_path / "data" / "evaluate") == []
