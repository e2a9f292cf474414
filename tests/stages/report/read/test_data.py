"""Leaks and near-duplicates: counts as `split` wrote them, and pairs to look at, pictures first."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.read.data import Leaks, Overlap, leak_warning, read_leaks
from stages.report.run import run
from store.errors import InputError
from tests.stages.report.outcome_files import table, write_leaks
from tests.stages.report.read.test_outcomes import cards_of
from tests.stages.report.run_folder import RunFolder, whole_run

NEAR = {"rows": 3, "within": 4, "compared": 10, "flat": 2, "varied_bits": 64, "without_hash": 0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, items=8)
    folder.write_data()
    return folder


def read(folder: RunFolder) -> Leaks | None:
    return read_leaks(cards_of(folder), folder.root / "data" / "split")


def test_near_pictures_come_before_equal_texts(folder: RunFolder) -> None:
    write_leaks(folder, NEAR)
    found = read(folder)
    assert found is not None
    assert found.near == {"rows": 3, "within": 4, "compared": 10, "flat": 2, "without_hash": 0}
    assert [(one.test.item, one.other.item, one.words) for one in found.twins] == [
        ("item-003", "item-000", "images 2 bits apart"), ("item-001", "item-004", "the same caption"),
    ]  # fmt: skip
    assert found.twins[0].test.picture is not None


def test_each_test_item_is_shown_once_with_what_is_nearest_and_three_are_enough(folder: RunFolder) -> None:
    lines = ["item-001,item-000,image,near,4", "item-001,item-004,image,near,1", "item-003,item-004,image,equal,0"]
    lines += ["item-005,item-000,caption,equal,0", "item-007,item-000,image,near,3"]
    table(folder.root / "data/split/leaks.csv", "test,other,field,kind,distance", *lines)
    found = read(folder)
    assert found is not None
    assert found.near == {}
    assert [(one.test.item, one.words) for one in found.twins] == [
        ("item-001", "images 1 bit apart"), ("item-007", "images 3 bits apart"), ("item-003", "the same image"),
    ]  # fmt: skip


def test_nothing_found_and_nobody_looked(folder: RunFolder) -> None:
    assert read(folder) is None


def test_counts_that_are_none_and_items_of_another_manifest_are_refused(folder: RunFolder) -> None:
    write_leaks(folder, {"rows": "many"})
    with pytest.raises(InputError, match=r"counts of near-duplicates in .*run `diptych split` again"):
        read(folder)
    write_leaks(folder, None)
    table(folder.root / "data/split/leaks.csv", "test,other,field,kind,distance", "item-001,lost,image,near,1")
    with pytest.raises(InputError, match=r"expected items of .*manifest\.parquet in .*leaks\.csv"):
        read(folder)


def test_the_warning_names_what_is_notable_and_nothing_else() -> None:
    near = Leaks({"rows": 19, "within": 4, "compared": 100}, ())
    overlaps = [Overlap("image", 1, 0.01), Overlap("caption", 34, 0.34)]
    assert leak_warning(near, overlaps) == (
        "Beware: 19% of the test pictures look nearly like one of train or dev and 34% of the test texts (caption) "
        "stand in train or dev as they are, so that figures may flatter; see Data."
    )
    assert "test pictures stand in train or dev as they are" in leak_warning(None, [Overlap("image", 9, 0.09)])
    assert leak_warning(Leaks({"rows": 4, "within": 4, "compared": 100}, ()), overlaps[:1]) == ""
    assert leak_warning(Leaks({"rows": 0, "within": 4, "compared": 0}, ()), ()) == ""


def test_the_verdict_of_a_run_warns_of_leaks(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    write_leaks(folder, {**NEAR, "rows": 3, "compared": 10})
    said = run(ReportParams(examples=0), folder.inputs, folder.outputs, SilentProgress())["verdict"]
    assert "Beware: 30% of the test pictures look nearly like one of train or dev" in said
    assert "Beware: 30% of the test pictures" in folder.outputs.page.read_text()
