"""What is taken away, what stands in its place to the last bit, and on which rows it is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.evaluate.params import MissingParams
from stages.evaluate.trained.missing import conditions_of, drawn_classes, scopes_of
from stages.evaluate.trained.robustness import ThinnedTable
from stages.evaluate.truth import Truth
from stages.models.features.layout import Block
from stages.models.features.table import FeatureTable, missing_row
from store import Matrix, MatrixArray, MatrixBlock, MatrixHeader, open_matrix, write_matrix

ROWS = np.array([4, 0, 3])


def removed(*fields: tuple[str, ...]) -> dict[str, tuple[bool, ...]]:
    return {each.name: each.removed for each in conditions_of(fields)}


def test_each_field_goes_once_the_picture_first_then_all_texts() -> None:
    assert removed(("title",), ("description",), ("image",)) == {
        "full": (False, False, False),
        "without image": (False, False, True),
        "without title": (True, False, False),
        "without description": (False, True, False),
        "without all texts": (True, True, False),
    }


def test_a_single_text_is_all_texts() -> None:
    assert list(removed(("caption",), ("image",))) == ["full", "without image", "without caption"]
    assert removed(("image",)) == {"full": (False,), "without image": (True,)}


def test_every_matrix_of_a_field_goes_with_it_and_a_pair_with_either_of_its_fields() -> None:
    found = removed(("caption",), ("caption", "image"), ("image",), ("caption",))
    assert found["without caption"] == (True, True, False, True)
    assert found["without image"] == (False, True, True, False)


def test_names_in_the_metrics_differ_whatever_the_fields_are_called() -> None:
    keys = [each.key for each in conditions_of([("all_texts",), ("texts",), ("image",)])]
    assert keys == ["full", "image", "all_texts", "texts", "all-texts"]


def matrix(path: Path, usable: bool, dtype: str = "float16") -> Matrix:
    """Write five rows of vectors and words, all or none of them there; a tenth has no exact binary form."""
    rng = np.random.default_rng(0)
    vectors, words = rng.normal(size=(5, 3)), rng.normal(size=(5, 2, 3))
    mask = np.array([[True, row % 2 == 0] for row in range(5)])
    arrays = (MatrixArray("tokens", (2, 3), "float16"), MatrixArray("token_mask", (2,), "bool"))
    header = MatrixHeader([f"i{row}" for row in range(5)], 3, dtype, np.full(3, 0.1, np.float32), {}, arrays)
    there = np.full(5, usable)
    block = MatrixBlock(vectors.astype(dtype), there, there, {"tokens": words.astype("float16"), "token_mask": mask})
    write_matrix(path, header, [block], durability="none")
    return open_matrix(path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("position", [0, 1])
def test_a_row_that_lost_an_input_is_exactly_one_that_never_had_it(tmp_path: Path, dtype: str, position: int) -> None:
    there = matrix(tmp_path / "a.zarr.zip", usable=True, dtype=dtype)
    gone = matrix(tmp_path / "b.zarr.zip", usable=False, dtype=dtype)
    layout = (Block(3, {"tokens": (2, 3), "token_mask": (2,)}), Block(3))
    lost = tuple(number == position for number in (0, 1))
    pair = tuple(gone if each else there for each in lost)
    thinned = ThinnedTable(FeatureTable([there, there], ROWS, layout), layout, missing_row([there] * 2, layout), lost)
    np.testing.assert_array_equal(thinned[:], FeatureTable(pair, ROWS, layout)[:])
    np.testing.assert_array_equal(thinned[np.array([2, 0])], FeatureTable(pair, ROWS[[2, 0]], layout)[:])
    assert (len(thinned), thinned.shape) == (3, (3, 16))


def test_nothing_removed_changes_nothing(tmp_path: Path) -> None:
    there = matrix(tmp_path / "a.zarr.zip", usable=True)
    layout = (Block(3), Block(3))
    table = FeatureTable([there, there], ROWS, layout)
    np.testing.assert_array_equal(ThinnedTable(table, layout, table.missing, (False, False))[:], table[:])


def truth(labels: np.ndarray, task: str = "multilabel") -> Truth:
    ids = [f"i{row}" for row in range(len(labels))]
    names = tuple(f"c{column}" for column in range(labels.shape[1]))
    rows, nowhere = np.arange(len(ids)), np.zeros(len(ids), bool)
    return Truth(task, "test", names, ids, ids, rows, labels, None, rows, nowhere, "", {})  # type: ignore[arg-type]


def test_classes_are_drawn_by_the_seed_among_those_with_a_row() -> None:
    known = truth(np.eye(12, dtype=bool)[[0, 0, 1, 3, 4, 5, 7, 9, 11]])
    drawn = [drawn_classes(known, MissingParams(seed=seed)) for seed in range(40)]
    assert {name for each in drawn for name in each} == {"c0", "c1", "c3", "c4", "c5", "c7", "c9", "c11"}
    assert all(len(set(each)) == 5 and each == sorted(each, key=lambda name: int(name[1:])) for each in drawn)
    assert drawn[3] == drawn_classes(known, MissingParams(seed=3))


def test_the_second_scope_holds_the_rows_that_bear_a_drawn_class() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    whole, some = scopes_of(truth(labels), MissingParams(classes=1, seed=0))
    (name,) = drawn_classes(truth(labels), MissingParams(classes=1, seed=0))
    assert (whole.name, whole.rows.tolist()) == ("all rows", [0, 1, 2, 3, 4])
    assert some.rows.tolist() == np.flatnonzero(labels[:, int(name[1])]).tolist()
    assert (some.name, some.truth.ids) == ("1 classes", [f"i{row}" for row in some.rows])
    np.testing.assert_array_equal(some.truth.labels, labels[some.rows])


def test_fewer_classes_than_asked_for_are_all_taken() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    _, some = scopes_of(truth(labels), MissingParams(classes=5))
    assert (some.name, some.rows.tolist()) == ("2 classes", [0, 1])
    assert len(scopes_of(truth(np.zeros((2, 3), bool)), MissingParams())) == 1
