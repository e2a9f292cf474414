"""What is said of an item, how good that is, and which items get shown; and the reading of damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.decisions import Decision
from stages.errors import InputError
from stages.report.confusion import count_pairs, most_confused
from stages.report.decisions import label_quality, pick
from stages.report.readings import read_json, read_predictions, read_rows
from stages.report.summaries import flatten
from stages.report.thumbnails import SIDE, Thumbnails

from .run_folder import RunFolder


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


def test_the_most_confused_classes_are_chosen_and_nothing_is_no_class() -> None:
    rows = [("a", "b")] * 3 + [("c", "(nothing)")] * 9 + [("d", "a")] + [("e", "e")] * 5
    pairs = count_pairs([{"actual": actual, "predicted": predicted} for actual, predicted in rows])
    assert most_confused(pairs, 3) == ["a", "b", "d"]
    assert most_confused(pairs) == ["a", "b", "c", "d", "e"]


def test_thumbnails_keep_their_shape_and_never_leave_the_root(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "pictures").mkdir()
    name = folder._picture(3)
    thumbnails = Thumbnails(tmp_path / "pictures")
    made = thumbnails.get(name)
    assert made is not None
    assert (made.width, made.height) == (SIDE, 138)
    (tmp_path / "secret.png").write_bytes((tmp_path / "pictures" / name).read_bytes())
    (tmp_path / "pictures" / "broken.png").write_bytes(b"not a picture")
    assert thumbnails.get("../secret.png") is thumbnails.get("broken.png") is thumbnails.get(None) is None
    assert thumbnails.unreadable == {"../secret.png", "broken.png"}


def predictions(path: Path, scores: list[list[float]]) -> Path:
    columns = {"seed": [1, 0], "id": ["x", "y"], "part": ["test", "test"], "scores": scores}
    pq.write_table(pa.table(columns), path)
    return path


def test_predictions_are_those_of_the_smallest_seed(tmp_path: Path) -> None:
    read = read_predictions(predictions(tmp_path / "p.parquet", [[0.1, 0.2], [0.3, 0.4]]), 2)
    assert read is not None
    assert (read.seed, read.ids, read.scores.tolist()) == (0, ["y"], [[pytest.approx(0.3), pytest.approx(0.4)]])
    assert read_predictions(tmp_path / "none.parquet", 2) is None


@pytest.mark.parametrize(
    ("scores", "width", "message"),
    [
        ([[0.1, 0.2], [0.3, 0.4]], 3, "expected 3 scores for each item"),
        ([[0.1, 0.2], [float("nan"), 0.4]], 2, "expected finite scores"),
    ],
)
def test_wrong_scores_are_refused(tmp_path: Path, scores: list[list[float]], width: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_predictions(predictions(tmp_path / "p.parquet", scores), width)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"expected predictions in .*damaged"):
        read_predictions(damaged, 2)
    with pytest.raises(InputError, match=r"expected JSON in .*damaged"):
        read_json(damaged)
    with pytest.raises(InputError, match=r"expected a column 'c' in .*damaged"):
        read_rows(damaged, "a", "c")


def test_nested_counts_are_written_flat() -> None:
    assert flatten({"seed": 0, "rows": {"train": 6, "share_kept": 0.25}, "declared": False, "ids": list(range(9))}) == [
        ("seed", "0"), ("rows: train", "6"), ("rows: share kept", "0.25"), ("declared", "no"), ("ids", "9 entries"),
    ]  # fmt: skip
