"""The table of predictions: what was written of a part comes back, and what is wrong with its scores is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import InputError
from store.results.predictions import PredictionTable, PredictionWriter, read_predictions

ABOUT = {"experiment": "x", "task": "multilabel", "classes": ["a", "é"], "manifest": "0" * 64}
PARTS = np.array(["test", "dev", "test"])


def written(path: Path, last: float = 0.75) -> PredictionTable:
    with PredictionWriter(path, ABOUT) as writer:
        for seed in (5, 0):
            scores = np.array([[0.0, seed], [0.25, seed], [last, seed]], np.float32)
            writer.write(seed, ["x", "y", "z"], PARTS, scores)
    return read_predictions(path, "test")


def test_rows_of_a_part_come_back_seed_by_seed_with_what_was_told(tmp_path: Path) -> None:
    table = written(tmp_path / "p.parquet")
    assert table.about == ABOUT
    assert (table.ids, table.seeds.tolist()) == (["x", "z"] * 2, [5, 5, 0, 0])
    first = table.of(0)
    assert (first.ids, first.wrong(2), first.scores(2).dtype) == (["x", "z"], "", np.float32)
    assert first.scores(2).tolist() == [[0.0, 0.0], [0.75, 0.0]]
    none = table.of(7)
    assert (none.ids, none.wrong(2), none.scores(2).shape) == ([], "", (0, 2))


def test_what_is_wrong_with_scores_is_said(tmp_path: Path) -> None:
    assert written(tmp_path / "p.parquet").wrong(3) == "expected 3 scores for each row; found another number"
    for value in (np.nan, np.inf):
        wrong = written(tmp_path / "p.parquet", value).wrong(2)
        assert wrong == "expected finite scores; found NaN or infinity"


def test_a_file_that_is_gone_or_another_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected predictions at .*p.parquet; found no file; run `diptych train`"):
        read_predictions(tmp_path / "p.parquet", "test")
    (tmp_path / "p.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"p.parquet; found another file"):
        read_predictions(tmp_path / "p.parquet", "test")
    bare = {"seed": [0], "id": ["x"], "part": ["test"], "scores": [[0.5]]}  # says nothing of its experiment
    for table in ({"a": [1]}, bare, {key: value for key, value in bare.items() if key != "scores"}):
        pq.write_table(pa.table(table), tmp_path / "p.parquet")
        with pytest.raises(InputError, match=r"p.parquet; found another file"):
            read_predictions(tmp_path / "p.parquet", "test")
