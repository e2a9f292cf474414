"""The plots of what happens inside: reliability, weights of inputs, variance kept, accuracy beside F1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stages.report.draw.calibration import calibration_plot
from stages.report.draw.figures import Series, per_class_plot
from stages.report.draw.insides import variance_plot, weight_plots
from stages.report.read.experiments import read_class_scores
from stages.report.read.matrices import Lineage
from store.errors import InputError
from store.results.cards import EntryCard
from tests.stages.report.outcome_files import table, write_calibration, write_weights
from tests.stages.report.read.test_leaderboard import BOTH, TEXT, board, experiment
from tests.stages.report.run_folder import RunFolder

LINEAGE = Lineage({"caption-hash": "caption", "image-colorhist": "image"}, {"small": ("image-colorhist",)})
SHARES = [0.05, None, 0.3, 0.4, 0.5, 0.5, 0.7, None, 0.8, 1.0]


def test_bins_with_scores_are_drawn_and_scores_that_are_no_probabilities_are_called_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    machine = replace(TEXT, head="svm", means={**TEXT.means, "ece": 0.125})
    for name in ("fused", "words"):
        write_calibration(folder, name, SHARES)
    plot = calibration_plot(board(BOTH, machine), tmp_path / "data/evaluate")
    assert plot is not None
    assert "words (ECE 0.125)" in plot.svg
    assert "0.25 is right in 0.30 of 100" in plot.svg
    assert "0.15 is right" not in plot.svg
    assert "words gives squashed margins, which are no probabilities" in plot.caption
    assert "fused gives" not in plot.caption


def test_without_bins_nothing_is_drawn_and_others_are_refused(tmp_path: Path) -> None:
    at = tmp_path / "data/evaluate"
    assert calibration_plot(board(BOTH), at) is None
    table(at / "fused/calibration.csv", "low,high,count,confidence,share")
    assert calibration_plot(board(BOTH), at) is None
    table(at / "fused/calibration.csv", "low,high,count,confidence,share", "0,0.1,many,0.1,0.2")
    with pytest.raises(InputError, match=r"calibration\.csv.*run `diptych evaluate` again"):
        calibration_plot(board(BOTH), at)


def test_weights_are_sorted_by_the_first_input_with_all_items_on_top(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_weights(folder, "fused", folder.classes)
    (plot,) = weight_plots(board(BOTH, TEXT), tmp_path / "data/evaluate", LINEAGE)
    assert plot.name == "plot-weights-fused"
    assert "all items caption-hash 0.30, image-colorhist 0.70; sport caption-hash 0.60" in plot.svg
    assert "var(--text)" in plot.svg
    assert "var(--image)" in plot.svg
    assert "<script>" not in plot.svg


def test_weights_that_are_the_same_for_every_class_take_one_line(tmp_path: Path) -> None:
    lines = [
        f"{label},{name},{weight},3" for label in ("(all)", "bird", "tool") for name, weight in (("x", 0.4), ("y", 0.6))
    ]
    table(tmp_path / "fused/weights.csv", "class,input,weight,rows", *lines)
    (plot,) = weight_plots(board(BOTH), tmp_path, LINEAGE)
    assert "the same for every class" in plot.caption
    assert "bird" not in plot.svg


def test_no_weights_no_plot_and_holes_are_refused(tmp_path: Path) -> None:
    at = tmp_path / "data/evaluate"
    table(at / "fused/weights.csv", "class,input,weight,rows")
    assert not list(weight_plots(board(BOTH, TEXT), at, LINEAGE))
    table(at / "fused/weights.csv", "class,input,weight,rows", "a,x,0.5,3", "a,y,0.5,3", "b,x,1,2")
    with pytest.raises(InputError, match=r"a weight of every input for every class in .*weights\.csv"):
        list(weight_plots(board(BOTH), at, LINEAGE))


def test_the_variance_is_taken_from_the_table_and_else_from_the_card(tmp_path: Path) -> None:
    cards = [tmp_path / f"{name}.json" for name in ("small", "words", "none")]
    for card, content in zip(cards, ({}, {"explained": [0.5, 0.25]}, {"explained": None}), strict=True):
        EntryCard(content).write(card)
    table(tmp_path / "small.variance.csv", "component,variance,cumulative", "1,0.4,0.4", "2,0.2,0.6", "3,0.02,0.62")
    plot = variance_plot(cards, tmp_path, LINEAGE)
    assert plot is not None
    assert "small keeps 62.0% with 3; words keeps 75.0% with 2." in plot.caption
    assert "var(--image)" in plot.svg
    assert variance_plot(cards[2:], tmp_path, LINEAGE) is None


@pytest.mark.parametrize("explained", [[0.5, "many"], [0.9, 0.9], [0.5, -0.1]])
def test_a_variance_that_is_none_is_refused(tmp_path: Path, explained: list[object]) -> None:
    card = tmp_path / "small.json"
    EntryCard({"explained": explained}).write(card)
    with pytest.raises(InputError, match=r"expected .*small.*run `diptych reduce small` again"):
        variance_plot([card], tmp_path, LINEAGE)


def test_the_accuracy_of_a_class_stands_beside_its_f1_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "per_class.csv"
    table(path, "class,support,accuracy,f1", "bird,3,0.95,0.5", "tool,2,0.9,0.75")
    known = read_class_scores(path)
    assert [one.accuracy for one in known.values()] == [0.95, 0.9]
    table(path, "class,support,f1", "bird,3,0.5", "tool,2,0.75")
    unknown = read_class_scores(path)
    one = experiment("fused", "caption-use", 0.5)
    plots = [per_class_plot([Series(one, "both", scores)]) for scores in (known, unknown)]
    assert [plot is not None and plot.title for plot in plots] == [
        "F1 and accuracy of every class",
        "F1 of every class",
    ]
    table(path, "class,support,accuracy,f1", "bird,3,often,0.5")
    with pytest.raises(InputError, match=r"expected numbers in .*per_class\.csv"):
        read_class_scores(path)
