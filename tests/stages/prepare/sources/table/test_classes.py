"""What classes are called: by the schema of a Parquet file, by columns of flags, as numbers that pandas wrote."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.prepare.sources.table.params import TableParams
from store.errors import InputError
from tests.stages.prepare.desk import Desk, Prepared

ONE = {"text": "t", "label": "k"}
SEVERAL = {"text": "t", "labels": "k"}
LABELS = {"names": ["neg", "pos", "mixed"], "_type": "ClassLabel"}


def prepared(desk: Desk, cells: list[Any], columns: dict[str, Any], feature: Any = None, **params: Any) -> Prepared:
    """Prepare a Parquet table of one text and one column `k`, as `datasets` writes it where a feature is given."""
    table = pa.table({"t": [f"text {number}" for number in range(len(cells))], "k": cells})
    if feature is not None:
        features = {"t": {"dtype": "string", "_type": "Value"}, "k": feature}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, desk.data / "posts.parquet")
    return desk.prepare(columns=columns, **params)


def test_the_schema_of_a_file_names_its_classes(desk: Desk) -> None:
    manifest, summary = prepared(desk, [1, 0, -1, None, 1], ONE, LABELS)
    assert manifest.info.classes == ("neg", "pos")
    assert manifest.labels(np.arange(5)) == [("pos",), ("neg",), None, None, ("pos",)]
    assert "those of the file's schema (ClassLabel of column 'k')" in summary.notes[-1]


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": LABELS, "_type": "Sequence"},
        {"feature": LABELS, "length": -1, "_type": "List"},
        [LABELS],
    ],
)
def test_lists_of_numbers_are_named_too(desk: Desk, feature: Any) -> None:
    manifest, _ = prepared(desk, [[2, 0], [], None, [1]], SEVERAL, feature)
    assert manifest.info.classes == ("neg", "pos", "mixed")
    assert manifest.labels(np.arange(4)) == [("mixed", "neg"), (), None, ("pos",)]


def test_named_classes_keep_the_order_of_their_numbers_as_text(desk: Desk) -> None:
    names = {"names": [f"c{number}" for number in range(12)][::-1], "_type": "ClassLabel"}
    numbered, _ = prepared(desk, list(range(12)), ONE)
    before = numbered.class_index().tolist()
    manifest, _ = prepared(desk, list(range(12)), ONE, names)
    assert manifest.class_index().tolist() == before  # what was fitted to the numbers stays as it is
    assert manifest.labels(np.arange(2)) == [("c11",), ("c10",)]


def test_numbers_that_are_declared_stay(desk: Desk) -> None:
    manifest, _ = prepared(desk, [1, 0], {**ONE, "classes": [0, 1]}, LABELS)
    assert manifest.info.classes == ("0", "1")
    manifest, _ = prepared(desk, [1, 0], {**ONE, "classes": ["pos", "neg"]}, LABELS)
    assert manifest.info.classes == ("pos", "neg")


def test_a_name_that_is_not_declared_is_told(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"posts\.parquet:2: expected a declared class, found the unknown label 'neg'"):
        prepared(desk, [1, 0], {**ONE, "classes": ["pos"]}, LABELS)


def test_a_number_without_a_name_is_a_reject(desk: Desk) -> None:
    manifest, summary = prepared(desk, [1, 7, 0], ONE, LABELS, max_reject_share=0.5)
    assert (manifest.ids(), summary.rejected) == (["1", "3"], {"bad-record": 1})
    assert "found '7'" in (desk.out / "rejects.csv").read_text()


@pytest.mark.parametrize("feature", [{"_type": "ClassLabel", "names": ["a", "a"]}, {"_type": "Value"}, 7, [], {}])
def test_a_schema_that_names_nothing_changes_nothing(desk: Desk, feature: Any) -> None:
    assert prepared(desk, [1, 0], ONE, feature)[0].info.classes == ("0", "1")


def test_columns_of_flags_are_classes(desk: Desk) -> None:
    rows = "t, Drama ,Comedy,War\na,1,0,1\nb,0.0,1.0,0\nc,False,0,0\nd,,,\n"
    columns = {"text": "t", "onehot": [" Drama ", "Comedy", "War"]}
    manifest, summary = desk.prepare(desk.put("posts.csv", rows), columns)
    assert manifest.info.task == "multilabel"
    assert manifest.info.classes == (" Drama ", "Comedy", "War")
    assert manifest.labels(np.arange(4)) == [(" Drama ", "War"), ("Comedy",), (), None]
    assert summary.labels == {" Drama ": 1, "Comedy": 1, "War": 1}


@pytest.mark.parametrize(("cell", "told"), [("2", "found '2'"), ("", "found a blank cell beside others")])
def test_a_flag_that_is_none_is_told(desk: Desk, cell: str, told: str) -> None:
    path = desk.put("posts.csv", f"t,Drama,Comedy\na,1,0\nb,1,{cell}\n")
    with pytest.raises(InputError, match=rf"posts\.csv:3: expected 0 or 1 for the class 'Comedy', {told}"):
        desk.prepare(path, {"text": "t", "onehot": ["Drama", "Comedy"]})


def test_a_column_of_flags_beside_others_is_noted(desk: Desk) -> None:
    _, summary = desk.prepare(desk.put("posts.csv", "t,Drama,Comedy\na,1,0\nb,0,1\n"), {"text": "t", "label": "Drama"})
    assert "list them in prepare.table.onehot" in summary.notes[-1]


def test_lists_of_flags_need_the_names_of_the_classes(desk: Desk) -> None:
    cells = [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
    with pytest.raises(
        InputError, match=r"found 0 or 1 for each of 3 classes \(one-hot\); name them in prepare\.table"
    ):
        prepared(desk, cells, SEVERAL)
    manifest, _ = prepared(desk, cells, {**SEVERAL, "classes": ["Drama", "Comedy", "War"]})
    assert manifest.labels(np.arange(3)) == [("Comedy",), ("Drama", "Comedy"), ()]


def test_lists_of_the_numbers_0_and_1_stay_what_they_are(desk: Desk) -> None:
    assert prepared(desk, [[0], [1], [0, 1]], SEVERAL)[0].info.classes == ("0", "1")
    manifest, _ = prepared(desk, [[0, 1], [1, 0]], {**SEVERAL, "classes": [0, 1]})
    assert manifest.label_matrix().tolist() == [[True, True], [True, True]]


def test_whole_numbers_that_pandas_wrote_with_a_fraction(desk: Desk) -> None:
    rows = "t,k\na,1.0\nb,\nc,10.0\nd,2.0\n"
    manifest, summary = desk.prepare(desk.put("posts.csv", rows), ONE)
    assert manifest.info.classes == ("1.0", "10.0", "2.0")  # as ever: nobody asked
    assert "prepare.table.whole: true calls it '1'" in summary.notes[-1]
    manifest, summary = desk.prepare(desk.put("posts.csv", rows), {**ONE, "whole": True})
    assert manifest.info.classes == ("1", "10", "2")
    assert manifest.labelled().tolist() == [True, False, True, True]
    manifest, _ = desk.prepare(desk.put("posts.csv", rows), {**ONE, "classes": [1, 2, 10]})
    assert manifest.class_index().tolist() == [0, -1, 2, 1]


def test_both_spellings_of_a_number_are_noted(desk: Desk) -> None:
    path = desk.put("posts.csv", "t,k\na,1.0\nb,1\n")
    assert "('1' is another class)" in desk.prepare(path, ONE)[1].notes[-1]
    assert desk.prepare(path, {**ONE, "whole": True})[0].info.classes == ("1",)


def test_other_numbers_are_no_whole_ones(desk: Desk) -> None:
    path = desk.put("posts.csv", "t,k\na,1.0\nb,1.5\n")
    assert desk.prepare(path, ONE)[0].info.classes == ("1.0", "1.5")
    with pytest.raises(InputError, match=r"posts\.csv:3: column 'k': expected whole numbers, found '1\.5'"):
        desk.prepare(path, {**ONE, "whole": True})


def test_whole_numbers_of_params_are_names() -> None:
    table = TableParams.model_validate_json(
        '{"text": "t", "label": 2024, "classes": [0, 1], "blank": [-1]}', strict=True
    )
    assert (table.label, table.classes, table.blank) == ("2024", ("0", "1"), ("-1",))
