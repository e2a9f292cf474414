"""The source `mmfrb`: products as JSON lines, the wrong ones told with their line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.stages.prepare.sets.little import paint_little
from tests.stages.prepare.sets.mmfrb import SIZE, write_mmfrb
from tests.stages.prepare.sets.preparing import prepare, refusal

IMAGE = "000000000042.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    paint_little(folder)
    return folder


def put(folder: Path, *products: Any, name: str = "products.jsonl") -> Path:
    lines = [product if isinstance(product, str) else json.dumps(product) for product in products]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def product(identity: Any, category: Any = "coat", **more: Any) -> dict[str, Any]:
    return {"id": identity, "image": IMAGE, "caption": f"A {identity}.", "category": category, **more}


def test_a_file_that_a_system_left_behind_is_no_set(folder: Path) -> None:
    put(folder, product("a"))
    put(folder, "no JSON", name="._products.jsonl")
    assert prepare("mmfrb", folder)[0].ids() == ["a"]


def test_a_set_of_products(tmp_path: Path) -> None:
    write_mmfrb(tmp_path / "set")
    manifest, summary = prepare("mmfrb", tmp_path / "set")
    assert manifest.ids() == [f"p{number:04d}" for number in range(SIZE)]
    assert manifest.info.classes == ("coat", "lamp", "mug", "shoe")
    assert manifest.info.task == "multiclass"
    assert manifest.class_index().tolist() == [number % 4 for number in range(SIZE)]
    assert manifest.groups() == manifest.ids()
    assert manifest.images()[0] == "images/p0000.jpg"
    assert json.loads(str(manifest.meta("items")[0])) == ["coat", "outdoor"]
    landmarks = json.loads(str(manifest.meta("landmarks")[0]))
    assert len(landmarks) == 4
    assert all(len(landmark) == 3 for landmark in landmarks)
    assert (summary.rejected, summary.skipped, summary.notes) == ({}, {}, ())


def test_what_is_missing_stays_missing(folder: Path) -> None:
    put(folder, product(1), "", {"id": 2, "caption": "Words only."}, {"id": 3, "image": IMAGE, "category": " coat "})
    manifest, summary = prepare("mmfrb", folder)
    assert manifest.ids() == ["1", "2", "3"]
    assert manifest.images() == [IMAGE, None, IMAGE]
    assert manifest.texts("caption") == ["A 1.", "Words only.", None]
    assert manifest.class_index().tolist() == [0, -1, 0]
    assert manifest.meta("landmarks") == [None] * 3
    assert summary.unlabelled == 1


def test_numbers_may_name_products_and_categories(folder: Path) -> None:
    put(folder, product(7, 3), product("007", "3"), product(8.0, 10))
    manifest, _ = prepare("mmfrb", folder)
    assert manifest.ids() == ["7", "007", "8"]
    assert manifest.info.classes == ("10", "3")


def test_lines_that_are_wrong_are_rejected_each_with_its_place(folder: Path) -> None:
    put(
        folder,
        product("a"),
        "{not json}",
        "[1, 2]",
        product(None),
        product("b", ["coat"]),
        product("c", caption=5),
        product("d", caption="half \ud800"),
        product("e", items=["\ud800"]),
        product("f", landmarks="[" * 5),
        '{"id": "g", "items": ' + "[" * 100_000,
        product("h", image="none.jpg"),
        product("i", image="../../../etc/passwd"),
    )
    manifest, summary = prepare("mmfrb", folder, max_reject_share=1)
    assert manifest.ids() == ["a", "f"]
    assert summary.rejected == {"bad-record": 6, "bad-text": 2, "missing-image": 1, "unsafe-path": 1}
    rejects = (folder.parent / "out" / "prepare" / "rejects.csv").read_text("utf-8")
    for told in (
        ",products.jsonl:2,bad-record,Expecting property name",
        ',products.jsonl:3,bad-record,"expected a JSON object, found list"',
        ",products.jsonl:4,bad-record,\"expected an id, found 'None'\"",
        ",products.jsonl:6,bad-record,\"caption: expected text, found int '5'\"",
        "d,products.jsonl:7,bad-text",
        ",products.jsonl:10,bad-record,maximum recursion depth",
        "h,products.jsonl:11,missing-image",
        "i,products.jsonl:12,unsafe-path",
    ):
        assert f"\n{told}" in rejects


def test_two_products_of_one_id_are_refused(folder: Path) -> None:
    message = refusal("mmfrb", put(folder, product(1), product(2), product("1")))
    assert "products.jsonl:3: expected distinct ids, found '1' again, after products.jsonl:1" in message


def test_a_set_without_categories_is_refused(folder: Path) -> None:
    assert "expected products with a category, found none in 1 lines" in refusal("mmfrb", put(folder, product(1, " ")))


def test_a_limit_takes_the_first_lines_and_all_classes(folder: Path) -> None:
    put(folder, product(1, "b"), product(2, "c"), product(3, "a"))
    manifest, summary = prepare("mmfrb", folder, limit=2)
    assert manifest.ids() == ["1", "2"]
    assert manifest.info.classes == ("a", "b", "c")
    assert summary.read == 2


def test_the_file_is_found_named_or_given(folder: Path) -> None:
    put(folder, product(1))
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(json.dumps(product(2)).encode()))
    assert "found more.jsonl.gz, products.jsonl; name it" in refusal("mmfrb", folder)
    assert prepare("mmfrb", folder, mmfrb={"file": "more.jsonl.gz"})[0].ids() == ["2"]
    assert prepare("mmfrb", folder / "products.jsonl")[0].images() == [IMAGE]
    assert prepare("mmfrb", folder / "products.jsonl", root=str(folder))[0].info.root == str(folder)
    assert "expected the file 'none.jsonl'" in refusal("mmfrb", folder, mmfrb={"file": "none.jsonl"})
    assert "leads elsewhere" in refusal("mmfrb", folder, mmfrb={"file": "../../x.jsonl"})
    assert "expected the folder of a data set at" in refusal("mmfrb", folder / "none")


def test_bytes_that_are_no_text_name_their_line(folder: Path) -> None:
    put(folder, product(1))
    path = folder / "products.jsonl"
    path.write_bytes(path.read_bytes() + b"\xff\n")
    assert "products.jsonl:2: expected UTF-8" in refusal("mmfrb", folder)
