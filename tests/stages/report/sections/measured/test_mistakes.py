"""The most confused: which pairs, which items first, and what is told of their scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.report.sections.measured.mistakes import Confusion, read_mistakes
from store.items.records import Task
from tests.stages.report.outcome_files import Decide, outcomes, truth_of, write_outcomes
from tests.stages.report.read.test_outcomes import cards_of
from tests.stages.report.run_folder import RunFolder


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
