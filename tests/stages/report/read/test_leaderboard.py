"""Order, kinds, verdict and the CSV of the leaderboard, on experiments made by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stages.report.read.experiments import Experiment
from stages.report.read.leaderboard import Leaderboard, rank_experiments, write_leaderboard
from stages.report.read.matrices import Lineage
from stages.report.read.systems import blind_of, rank_of, shown_of
from stages.report.verdict import retrieval_verdict, verdict
from stages.report.words import number, score
from store.errors import InputError
from store.files.outputs import safe_cell

LINEAGE = Lineage(
    {"caption-use": "caption", "image-lite0": "image", "title-use": "title", "pair": "caption + image"},
    {"image-pca": ("image-lite0",), "both": ("image-pca", "caption-use"), "odd": ("both", "lost")},
)


def experiment(name: str, features: str, value: float, deviation: float = 0.002, **changes: object) -> Experiment:
    values: dict[str, object] = {
        "name": name, "task": "multilabel", "features": tuple(features.split(" + ")), "fusion": "none", "head": "mlp",
        "rows": 10, "seeds": 3, "means": {"f1_macro": value, "accuracy": 0.5}, "deviations": {"f1_macro": deviation},
    }  # fmt: skip
    return Experiment(**{**values, **changes})  # type: ignore[arg-type]


def board(*experiments: Experiment) -> Leaderboard:
    return rank_experiments(experiments, None, LINEAGE)


TEXT = experiment("words", "caption-use", 0.40)
IMAGE = experiment("pixels", "image-lite0", 0.30)
BOTH = experiment("fused", "caption-use + image-lite0", 0.45)
FLOOR = experiment("floor", "caption-use", 0.02, head="dummy")


def test_best_first_equal_ones_by_name_and_nan_last() -> None:
    twins = [experiment(name, "caption-use", 0.4) for name in ("b", "c", "a")]
    ordered = board(experiment("z", "caption-use", float("nan")), *twins, BOTH).experiments
    assert [one.name for one in ordered] == ["fused", "a", "b", "c", "z"]


@pytest.mark.parametrize(
    ("features", "kind"),
    [
        ("caption-use", "text"),
        ("caption-use + title-use", "text"),
        ("image-pca", "image"),
        ("caption-use + image-pca", "both"),
        ("both", "both"),
        ("pair", "both"),
        ("odd", "other"),
        ("mystery", "other"),
        ("caption-use + mystery", "other"),
    ],
)
def test_what_an_experiment_looks_at(features: str, kind: str) -> None:
    assert board(experiment("one", features, 0.4)).kinds == {"one": kind}


def test_a_missing_metric_names_the_experiment() -> None:
    lacking = experiment("old", "caption-use", 0.4, means={"accuracy": 0.1})
    with pytest.raises(InputError, match="expected the metric 'f1_macro' for every experiment, found none for 'old'"):
        board(BOTH, lacking)


def test_a_fusion_that_wins() -> None:
    assert verdict(board(TEXT, IMAGE, BOTH, FLOOR)) == (
        "fused is best with macro F1 0.450 ± 0.002 (3 seeds), 5.0 points above the best single modality, words "
        "(text only) with 0.400 ± 0.002 (3 seeds). "
        "The floor, floor, which looks at nothing, has 0.020 ± 0.002 (3 seeds)."
    )


def test_a_fusion_that_does_not_win_is_said_to_lose() -> None:
    text = verdict(board(experiment("words", "caption-use", 0.47), IMAGE, BOTH))
    assert text.startswith("Fusion does not win here: words, on the text alone, is best")
    assert text.endswith("the best fusion, fused, has 0.450 ± 0.002 (3 seeds), 2.0 points behind.")


def test_a_gain_within_the_deviations_and_a_single_seed_are_doubted() -> None:
    assert "may be chance" in verdict(board(experiment("words", "caption-use", 0.447), BOTH))
    once = experiment("fused", "caption-use + image-lite0", 0.5, seeds=1)
    assert "single seed nobody can tell" in verdict(board(TEXT, once))


def test_a_winner_of_one_seed_is_followed_by_the_best_fusion_of_several() -> None:
    once = experiment("machine", "caption-use + image-lite0", 0.5, seeds=1)
    text = verdict(board(TEXT, once, BOTH))
    assert "Over several seeds fused has 0.450 ± 0.002 (3 seeds)" in text
    assert "Over several seeds" not in verdict(board(TEXT, once))
    assert "Over several seeds" not in verdict(board(TEXT, BOTH))


def test_what_cannot_be_compared_is_said() -> None:
    assert verdict(board(TEXT, IMAGE)).endswith("there is no fusion of both modalities to compare it with.")
    assert "no experiment on a single modality" in verdict(board(BOTH, FLOOR))
    assert "is the only experiment" in verdict(board(TEXT))
    assert verdict(board(experiment("z", "caption-use", 0.9, head="dummy"), TEXT)).startswith("No experiment beats")


def test_the_csv_is_safe_for_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.csv"
    write_leaderboard(path, board(experiment("=1+1", "@caption-use", -0.25, fusion="-x", deviations={})))
    with path.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert [row[name] for name in ("experiment", "features", "fusion")] == ["'=1+1", "'@caption-use", "'-x"]
    assert (row["f1_macro"], row["f1_macro_std"]) == ("-0.25", "")


def test_only_texts_that_start_a_formula_are_changed() -> None:
    assert [safe_cell(text) for text in ("a=b", "\tx", "+1", "")] == ["a=b", "'\tx", "'+1", ""]


def test_numbers_are_short_and_never_lost() -> None:
    assert [number(value) for value in (0.5, 0.00012, 12345.6, 0, None, float("nan"))] == [
        "0.500", "0.00012", "1.23e+04", "0.000", "–", "–",
    ]  # fmt: skip


def test_a_matrix_made_from_itself_is_refused() -> None:
    lineage = Lineage({}, {"a": ("b",), "b": ("a",)})
    with pytest.raises(InputError, match="found 'a' made from itself"):
        lineage.modalities(["a"])


def test_a_deviation_is_written_as_finely_as_its_mean() -> None:
    assert score(experiment("a", "caption-use", 0.5, 0.000594), "f1_macro") == "0.500 ± 0.001"
    assert score(experiment("a", "caption-use", 0.00051, 0.00002), "f1_macro") == "0.00051 ± 2e-05"
    assert score(experiment("a", "caption-use", 0.5, seeds=1), "f1_macro") == "0.500"


def test_the_best_retrieval_system_is_named_beside_a_blind_choice() -> None:
    systems = {"words": {"top_1": 0.25}, "looks": {"top_1": 0.75, "random_top_1": 0.125}, "apart": {"mrr": 0.9}}
    assert retrieval_verdict(systems) == (
        "Of 2 retrieval systems looks finds something relevant first for 0.750 of the queries (a blind choice: 0.125)."
    )
    assert retrieval_verdict({"b": {"top_1": 1.0}, "a": {"top_1": 1.0}}).endswith("1.000 of the queries, like 1 other.")
    assert retrieval_verdict({"apart": {"mrr": 0.9}}) == ""


def test_systems_over_label_sets_are_ranked_by_how_much_these_agree() -> None:
    shares = {"jaccard_1": 0.5, "top_1": 0.9, "random_jaccard": 0.2}
    systems = {"words": {**shares, "jaccard_5": 0.4}, "looks": {**shares, "jaccard_5": 0.3, "top_1": 1.0}}
    assert retrieval_verdict({**systems, "codes": {"top_1": 1.0}}) == (
        "Of 2 retrieval systems words agrees best with the query: the first 5 items have a mean Jaccard index of "
        "labels of 0.400 (a blind choice: 0.200)."
    )
    assert "the first item has a mean Jaccard" in retrieval_verdict({"one": shares})
    assert shown_of([*systems.values(), {"top_1": 1.0, "mrr": 0.5}]) == ["jaccard_5", "top_1", "mrr"]
    assert sorted(systems, key=lambda name: rank_of(name, systems[name])) == ["words", "looks"]
    assert blind_of("precision_5", {"random_top_1": 0.25}) == 0.25
    assert blind_of("recall_10", {"top_1": 0.25}) is None
