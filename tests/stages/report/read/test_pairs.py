"""Paired tests of experiments: which pairs, by what metric, who is left out, and what the verdict makes of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.models.measures.swaps import Paired, holm
from stages.report.read.leaderboard import Leaderboard, rank_experiments
from stages.report.read.pairs import Pair, PairTests, read_pairs, write_pairs
from stages.report.sections.measured.pairs import pairs_plot
from stages.report.verdict import verdict
from stages.report.words import p_value
from tests.stages.report.outcome_files import outcomes, write_outcomes, write_regression, wrong_on
from tests.stages.report.read.test_leaderboard import BOTH, IMAGE, LINEAGE, TEXT, board, experiment
from tests.stages.report.read.test_outcomes import cards_of
from tests.stages.report.run_folder import RunFolder

WEAK = experiment("weak", "caption-use + image-lite0", 0.35)


def run(root: Path, **changes: object) -> RunFolder:
    folder = RunFolder(root, **changes)  # type: ignore[arg-type]
    folder.write_data(images=False)
    return folder


def paired_tests(folder: RunFolder, leaderboard: Leaderboard) -> PairTests:
    found = read_pairs(leaderboard, cards_of(folder), folder.root / "data" / "evaluate")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> PairTests:
    folder = run(tmp_path_factory.mktemp("run"))
    for name, rows in (("fused", ()), ("words", (1, 3, 5)), ("weak", range(24)), ("pixels", (1, 3, 7))):
        write_outcomes(folder, name, outcomes(folder, wrong_on(folder, *rows)))
    return paired_tests(folder, board(TEXT, IMAGE, BOTH, WEAK))


def test_the_best_meets_all_others_and_the_fusions_the_best_single_modality(found: PairTests) -> None:
    pairs = [(one.first, one.second, one.against) for one in found.pairs]
    assert pairs == [
        ("fused", "words", "best"), ("fused", "weak", "best"), ("fused", "pixels", "best"), ("weak", "words", "single"),
    ]  # fmt: skip
    assert found.metric == "f1_macro"
    assert [one.groups for one in found.pairs] == [12] * 4
    assert (found.pairs[0].first_value, found.pairs[0].second_value) == (0.45, 0.40)


def test_differences_have_the_sign_of_the_better_one_and_p_is_corrected_for_all_pairs(found: PairTests) -> None:
    assert all(one.paired.difference > 0 for one in found.of("best"))
    assert found.of("single")[0].paired.difference < 0
    assert [one.p_holm for one in found.pairs] == holm([one.paired.p for one in found.pairs])
    assert found.pairs[1].p_holm > found.pairs[1].paired.p


def test_the_plot_tells_every_pair_in_words(found: PairTests) -> None:
    plot = pairs_plot(found)
    assert "fused minus words" in plot.svg
    assert "weak minus words −" in plot.svg.replace("-", "−")
    assert "the best on one modality" in plot.svg


def test_the_csv_has_one_line_for_each_pair_and_is_safe(tmp_path: Path, found: PairTests) -> None:
    path = tmp_path / "pairs.csv"
    write_pairs(path, [replace(found.pairs[0], second="=1+1"), *found.pairs[1:]])
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "first", "second", "metric", "first_value", "second_value", "difference", "low", "high", "p", "p_holm",
        "groups",
    ]  # fmt: skip
    assert (len(rows), rows[0]["second"], rows[0]["first_value"], rows[0]["groups"]) == (4, "'=1+1", "0.450000", "12")


def test_who_was_scored_on_other_rows_or_left_no_outcomes_is_left_out_and_named(tmp_path: Path) -> None:
    folder = run(tmp_path)
    write_outcomes(folder, "fused", outcomes(folder, wrong_on(folder), seeds=1))
    write_outcomes(folder, "pixels", outcomes(folder, wrong_on(folder, 3), seeds=1))
    fewer = {key: values[1:] for key, values in outcomes(folder, wrong_on(folder), seeds=1).items()}
    write_outcomes(folder, "words", fewer)
    tests = paired_tests(folder, board(TEXT, IMAGE, BOTH, WEAK))
    assert [(one.first, one.second) for one in tests.pairs] == [("fused", "pixels")]
    assert tests.left_out == {
        "scored on other rows than fused": "words",
        "evaluated without outcomes of each row": "weak",
    }


def test_without_outcomes_or_without_a_second_experiment_nothing_is_tested(tmp_path: Path) -> None:
    folder = run(tmp_path)
    at = folder.root / "data" / "evaluate"
    assert read_pairs(board(TEXT, BOTH), cards_of(folder), at) is None
    write_outcomes(folder, "fused", outcomes(folder, wrong_on(folder), seeds=1))
    assert read_pairs(board(TEXT, BOTH), cards_of(folder), at) is None
    assert read_pairs(board(BOTH), cards_of(folder), at) is None


@pytest.mark.parametrize(
    ("primary", "tested", "difference"),
    [("accuracy", "accuracy", 0.25), ("top_2", "top_2", 0.0), ("top_9", "f1_macro", None), ("ovr", "f1_macro", None)],
)
def test_other_metrics_of_one_class_each(tmp_path: Path, primary: str, tested: str, difference: float | None) -> None:
    folder = run(tmp_path, task="multiclass")
    right = outcomes(folder, wrong_on(folder), seeds=1)
    # On rows 1, 7 and 13, of class 1, the first class is said and the right one comes next.
    said = outcomes(
        folder, lambda _, row: [folder.classes[0]] if row in {1, 7, 13} else wrong_on(folder)(0, row), seeds=1
    )
    write_outcomes(folder, "fused", right)
    write_outcomes(folder, "words", said)
    means = {primary: 0.5, "f1_macro": 0.4}
    both, text = (replace(one, task="multiclass", means=means) for one in (BOTH, TEXT))
    tests = paired_tests(folder, rank_experiments([both, text], primary, LINEAGE))
    assert (tests.metric, tests.pairs[0].first_value) == (tested, means[tested])
    assert difference is None or tests.pairs[0].paired.difference == pytest.approx(difference)


def test_whole_rows_of_several_labels(tmp_path: Path) -> None:
    folder = run(tmp_path)
    write_outcomes(folder, "fused", outcomes(folder, wrong_on(folder)))
    write_outcomes(folder, "words", outcomes(folder, wrong_on(folder, 3)))
    leaderboard = rank_experiments(
        [replace(one, means={"subset_accuracy": one.means["f1_macro"]}) for one in (BOTH, TEXT)],
        "subset_accuracy",
        LINEAGE,
    )
    (pair,) = paired_tests(folder, leaderboard).pairs
    assert pair.metric == "subset_accuracy"
    assert pair.paired.difference == pytest.approx(1 / 12)


def test_squared_errors_and_less_is_better(tmp_path: Path) -> None:
    folder = run(tmp_path, task="regression")
    write_regression(folder, "fused", [0.1] * 12)
    write_regression(folder, "words", [0.5] * 12)
    both, text = (replace(one, task="regression", means={"mse": mse}) for one, mse in ((BOTH, 0.01), (TEXT, 0.25)))
    leaderboard = rank_experiments([both, text], None, LINEAGE)
    tests = paired_tests(folder, leaderboard)
    np.testing.assert_allclose(tests.pairs[0].paired.difference, 0.01 - 0.25)
    assert "tells the two apart (95 % interval 0.240 to 0.240 of mean squared error" in verdict(
        leaderboard, tests.pairs
    )


def pair(first: str, second: str, low: float, high: float, p: float) -> Pair:
    return Pair(first, second, "best", "f1_macro", 0.45, 0.40, Paired(0.05, low, high, p / 2), p, 400)


def test_the_verdict_trusts_the_paired_test_more_than_the_deviations() -> None:
    close = board(experiment("words", "caption-use", 0.447), BOTH)
    assert "may be chance" in verdict(close)
    told = verdict(close, [pair("fused", "words", 0.001, 0.005, 0.012)])
    assert "a paired test over 400 groups tells the two apart (95 % interval 0.1 to 0.5 points of macro F1" in told
    assert "corrected for all pairs, p = 0.012)." in told
    assert "may be chance" not in told
    doubted = verdict(board(TEXT, BOTH), [pair("fused", "words", -0.01, 0.08, 0.2)])
    assert "cannot tell that from chance (95 % interval −1.0 to 8.0 points" in doubted


def test_the_verdict_takes_the_test_of_the_pair_it_names_and_tells_of_a_single_seed() -> None:
    assert "paired" not in verdict(board(TEXT, IMAGE, BOTH), [pair("fused", "pixels", 0.1, 0.2, 0.001)])
    once = experiment("fused", "caption-use + image-lite0", 0.5, seeds=1)
    assert "of one training each, which tells nothing of other seeds" in verdict(
        board(TEXT, once), [pair("fused", "words", 0.1, 0.2, 0.001)]
    )
    lost = verdict(board(experiment("words", "caption-use", 0.47), BOTH), [pair("words", "fused", -0.01, 0.05, 0.3)])
    assert "2.0 points behind; a paired test over 400 groups cannot tell" in lost


def test_a_small_p_is_no_zero() -> None:
    assert [p_value(p) for p in (0.0001, 0.001, 0.0314)] == ["p < 0.001", "p = 0.001", "p = 0.031"]
