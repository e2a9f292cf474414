"""The reading of predictions, pictures and counts, and what is said of damaged files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.report.read.cards import SIDE, Thumbnails
from stages.report.read.data import flatten
from stages.report.read.experiments import read_json, read_predictions, read_rows
from store.errors import InputError
from tests.stages.report.run_folder import RunFolder


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
