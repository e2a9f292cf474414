"""The outcomes of `evaluate`: read as arrays, and refused when they are of another manifest or form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.report.read.cards import Cards, Thumbnails
from stages.report.read.outcomes import Outcomes, read_outcomes
from store.errors import InputError
from store.items.manifest import Manifest
from tests.stages.report.outcome_files import outcomes, truth_of, write_outcomes, write_regression, wrong_on
from tests.stages.report.run_folder import RunFolder


def cards_of(folder: RunFolder) -> Cards:
    """Open the manifest of a run."""
    return Cards(Manifest.open(folder.inputs.manifest), Thumbnails(folder.root / "pictures"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_data(images=False)
    return folder


def read(folder: RunFolder, columns: dict[str, Any]) -> Outcomes:
    found = read_outcomes(write_outcomes(folder, "one", columns), cards_of(folder))
    assert found is not None
    return found


def test_truth_predictions_and_best_classes_come_seed_by_seed_in_the_order_of_the_rows(folder: RunFolder) -> None:
    found = read(folder, outcomes(folder, lambda seed, row: truth_of(folder, row) if seed else []))
    assert found.ids == [folder.ids[row] for row in found.rows] == [one for one in folder.ids if int(one[-3:]) % 2]
    assert found.truth.sum() == 16
    assert [int(each.sum()) for each in found.predicted] == [0, 16]
    np.testing.assert_array_equal(found.predicted[1], found.truth)
    assert len(np.unique(found.groups)) == 12
    assert found.tops[0].classes.tolist()[0] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found.tops[1].scores[0], [0.9, 0.8, 0.7, 0.6, 0.5], rtol=1e-6)


def test_no_file_is_nothing(folder: RunFolder) -> None:
    assert read_outcomes(folder.root / "nowhere.parquet", cards_of(folder)) is None


def _swap(key: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda columns: {**columns, key: change(columns[key])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_swap("predicted", lambda said: [["<b>cat"], *said[1:]]), r"expected classes of the manifest.*found '<b>cat'"),
        (_swap("top", lambda tops: [["dog"] * 5, *tops[1:]]), r"expected classes of the manifest.*found 'dog'"),
        (_swap("truth", lambda truth: [truth[1], *truth[1:]]), r"expected the truth of .*manifest.parquet"),
        (_swap("id", lambda ids: [f"other-{one}" for one in ids]), r"expected items of .*manifest.parquet"),
        (_swap("id", lambda ids: [ids[1], ids[0], *ids[2:]]), r"expected the same rows for every seed"),
        (_swap("top_scores", lambda s: [[float("nan")] * 5, *s[1:]]), r"expected finite scores"),
        (_swap("top_scores", lambda s: [s[0][:2], *s[1:]]), r"expected a score for each of the best classes"),
        (lambda columns: {key: values for key, values in columns.items() if key != "top"}, r"found another file"),
    ],
)
def test_what_does_not_belong_here_is_refused(
    folder: RunFolder, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s){message}.*run `d"):
        read(folder, change(outcomes(folder, wrong_on(folder))))


def test_a_file_of_another_kind_is_refused(folder: RunFolder) -> None:
    path = folder.root / "note.parquet"
    path.write_text("no table")
    with pytest.raises(InputError, match=r"expected outcomes in .*run `diptych evaluate` again"):
        read_outcomes(path, cards_of(folder))


def test_values_of_a_regression(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "regression")
    folder.write_data(images=False)
    write_regression(folder, "one", [0.5] * 12)
    path = tmp_path / "data/evaluate/one/predictions.parquet"
    found = read_outcomes(path, cards_of(folder))
    assert found is not None
    assert (found.truth[0], found.predicted[0][0], found.tops) == (0.25, 0.75, ())
    write_regression(folder, "one", [0.5] * 11 + [float("nan")])
    with pytest.raises(InputError, match="expected finite values"):
        read_outcomes(path, cards_of(folder))
