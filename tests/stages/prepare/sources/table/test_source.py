"""Tables that are right: every format gives the same items, and what is missing is counted and kept."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from tests.stages.prepare.desk import Desk, picture

ROWS = [
    {"id": "01", "image": "1.png", "caption": 'A "frog", green.\nOn a leaf.', "kind": "animal"},
    {"id": "1", "image": "2.png", "caption": "Zürich 🏙️ עברית", "kind": "town"},
    {"id": "1e5", "image": None, "caption": " kept as it is ", "kind": None},
]


def as_csv(rows: list[dict[str, str | None]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def as_jsonl(rows: list[dict[str, str | None]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: list[dict[str, str | None]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("posts.csv", as_csv(ROWS)),
        ("bom.csv", b"\xef\xbb\xbf" + as_csv(ROWS)),
        ("posts.csv.gz", gzip.compress(as_csv(ROWS))),
        ("posts.jsonl", as_jsonl(ROWS)),
        ("posts.jsonl.gz", gzip.compress(as_jsonl(ROWS))),
        ("posts.parquet", as_parquet(ROWS)),
    ],
)
def test_every_format_gives_the_same_items(desk: Desk, name: str, content: bytes) -> None:
    manifest, summary = desk.prepare(desk.put(name, content))
    assert manifest.ids() == ["01", "1", "1e5"]
    assert manifest.texts("caption") == [row["caption"] for row in ROWS]
    assert manifest.images() == ["1.png", "2.png", None]
    assert manifest.info.classes == ("animal", "town")
    assert manifest.class_index().tolist() == [0, 1, -1]
    assert manifest.info.root == str(desk.data)
    assert manifest.groups() == ["01", "1", "1e5"]
    assert (summary.read, summary.kept, summary.labelled, summary.unlabelled) == (3, 3, 2, 1)
    assert summary.missing == {"image": 1, "caption": 0}


def test_declared_encodings_are_obeyed(desk: Desk) -> None:
    columns = {"id": "id", "text": "caption", "label": "kind"}
    for encoding in ("latin-1", "utf-16", "cp1252"):
        path = desk.put("posts.csv", "id,caption,kind\na,déjà vu,x\nb,Zürich,y\n".encode(encoding))
        manifest, _ = desk.prepare(path, {**columns, "encoding": encoding})
        assert manifest.texts("caption") == ["déjà vu", "Zürich"]


def test_crlf_and_empty_lines_are_no_rows(desk: Desk) -> None:
    path = desk.put("posts.csv", "id,caption,kind\r\na,one,x\r\n\r\nb,two,x\r\n")
    manifest, _ = desk.prepare(path, {"id": "id", "text": "caption", "label": "kind"})
    assert manifest.texts("caption") == ["one", "two"]


def test_blank_cells_leave_the_input_missing(desk: Desk) -> None:
    desk.put("posts.csv", "id,image,caption,kind\na,,words,x\nb,1.png,  ,x\nc,2.png,,\n")
    manifest, summary = desk.prepare()
    assert manifest.images() == [None, "1.png", "2.png"]
    assert manifest.texts("caption") == ["words", None, None]
    assert manifest.keys("caption")[1].tolist() == [True, False, False]
    assert summary.missing == {"image": 1, "caption": 2}
    assert summary.unlabelled == 1
    assert summary.labels == {"x": 2}


def test_several_texts_groups_parts_and_columns_carried_along(desk: Desk) -> None:
    desk.put(
        "posts.csv",
        "key,head,body,tags,owner,set,site\na,T,B,x|y| x ,o1,train,s\nb,,B,,,Validation,\nc,T,B,y,o1,TEST,s\n",
    )
    manifest, summary = desk.prepare(
        columns={
            "id": "key",
            "texts": {"title": "head", "description": "body"},
            "labels": "tags",
            "group": "owner",
            "split": "set",
            "meta": ["site"],
        }
    )
    assert manifest.info.fields == ("title", "description")
    assert manifest.texts("title") == ["T", None, "T"]
    assert manifest.label_matrix().tolist() == [[True, True], [False, False], [False, True]]
    assert manifest.labelled().tolist() == [True, False, True]
    assert manifest.groups() == ["o1", "b", "o1"]
    assert manifest.parts() == ["train", "dev", "test"]
    assert manifest.meta("site") == ["s", None, "s"]
    assert summary.duplicated == {"image": 0, "title": 1, "description": 2}


def test_labels_may_be_lists(desk: Desk) -> None:
    desk.put(
        "posts.jsonl", '{"id": 1, "t": "a", "tags": ["x", "y"]}\n{"id": 2, "t": "b", "tags": []}\n{"id": 3, "t": "c"}\n'
    )
    manifest, _ = desk.prepare(columns={"id": "id", "text": "t", "labels": "tags"})
    assert manifest.label_matrix().tolist() == [[True, True], [False, False], [False, False]]
    assert manifest.labels(np.arange(3)) == [("x", "y"), (), None]  # an empty list is an answer, a blank is none
    assert manifest.labelled().tolist() == [True, True, False]


def test_numbers_keep_their_digits(desk: Desk) -> None:
    desk.put("posts.jsonl", '{"id": 1e5, "t": 007.5}\n'.replace("007.5", "7.50") + '{"id": 100000, "t": true}\n')
    columns = {"id": "id", "text": "t", "target": "y"}
    with pytest.raises(ValueError, match="expected the column 'y'"):
        desk.prepare(columns=columns)
    manifest, _ = desk.prepare(columns={**columns, "target": "id"})
    assert manifest.ids() == ["1e5", "100000"]
    assert manifest.texts("caption") == ["7.50", "true"]
    assert manifest.targets().tolist() == [1e5, 1e5]


def test_typed_parquet_columns(desk: Desk) -> None:
    table = pa.table({"id": [1, 2, 3], "t": ["a", "b", "c"], "y": [1.5, float("nan"), None]})
    pq.write_table(table, desk.data / "posts.parquet")
    manifest, summary = desk.prepare(columns={"id": "id", "text": "t", "target": "y"})
    assert manifest.ids() == ["1", "2", "3"]
    assert manifest.info.task == "regression"
    assert manifest.info.classes == ()
    assert manifest.targets()[0] == 1.5
    assert (summary.labelled, summary.unlabelled) == (1, 2)


def test_without_ids_the_rows_are_numbered_and_that_is_noted(desk: Desk) -> None:
    desk.put("posts.csv", "t,k\na,x\nb,y\n")
    manifest, summary = desk.prepare(columns={"text": "t", "label": "k"})
    assert manifest.ids() == ["1", "2"]
    assert "numbers of the rows" in summary.notes[0]


def test_ids_that_look_alike_stay_distinct(desk: Desk) -> None:
    desk.put("posts.csv", "id,t,k\n1,a,x\n01,a,x\n1.0,a,x\n é,a,x\né,a,x\n")  # one é composed, one decomposed
    manifest, _ = desk.prepare(columns={"id": "id", "text": "t", "label": "k"})
    assert len(set(manifest.ids())) == 5


def test_data_stays_data(desk: Desk) -> None:
    nasty = ["${HOME}", "; rm -rf /", "--help", "a\0b", "\u202eright to left", "x" * 1_000_000]
    desk.put("posts.jsonl", "".join(json.dumps({"id": text[:9], "t": text, "k": "x"}) + "\n" for text in nasty))
    manifest, _ = desk.prepare(columns={"id": "id", "text": "t", "label": "k"})
    assert manifest.texts("caption") == nasty


def test_a_limit_reads_the_first_rows(desk: Desk) -> None:
    desk.put("posts.csv", "id,t,k\na,one,x\nb,two,y\na,again,z\n")
    manifest, summary = desk.prepare(columns={"id": "id", "text": "t", "label": "k"}, limit=2)
    assert manifest.ids() == ["a", "b"]
    assert summary.read == 2


def test_pictures_may_lie_elsewhere(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    path = tmp_path / "tables" / "posts.csv"
    path.write_text("id,image,k\na,1.png,x\n")
    columns = {"id": "id", "image": "image", "label": "k", "images": str(desk.data)}
    manifest, _ = desk.prepare(path, columns)
    assert manifest.info.root == str(desk.data)


def test_the_content_of_a_picture_counts_and_not_its_name(desk: Desk) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (1, 2, 3)).save(buffer, "JPEG")
    desk.put("a.jpg", picture(1))
    desk.put("b.png", buffer.getvalue())
    desk.put("c.png", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    frames = [Image.new("RGB", (6, 4), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(desk.data / "d.png", "GIF", save_all=True, append_images=frames[1:])
    lines = ["a,a.jpg,one,x", "b,b.png,two,y", "c,c.png,three,x", "d,d.png,four,y"]
    manifest, summary = desk.prepare(
        desk.put("posts.csv", "id,image,caption,kind\n" + "\n".join(lines)), max_reject_share=1
    )
    assert manifest.ids() == ["a", "b", "d"]
    assert summary.rejected == {"unreadable-image": 1}
    assert summary.animated == 1


def test_two_runs_give_equal_bytes_and_the_second_replaces_the_first(desk: Desk, tmp_path: Path) -> None:
    desk.put("posts.csv", "id,image,caption,kind\na,1.png,one,x\nb,no.png,two,y\n")
    desk.prepare(max_reject_share=0.5)
    first = {path.name: path.read_bytes() for path in desk.out.iterdir()}
    (desk.out / ".gitignore").write_text("/manifest.parquet\n")
    (desk.out / "left-over").write_text("from an older run")
    desk.prepare(max_reject_share=0.5)
    second = {path.name: path.read_bytes() for path in desk.out.iterdir()}
    assert second == {**first, ".gitignore": b"/manifest.parquet\n"}
    assert [path.name for path in desk.out.parent.iterdir()] == ["prepare"]
    assert (tmp_path / "data").exists()


def test_progress_is_told_of_every_row(desk: Desk) -> None:
    class Counting(SilentProgress):
        done = 0

        def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
            self.done += n

    desk.put("posts.csv", "id,t,k\na,one,x\nb,two,y\n")
    progress = Counting()
    table = {"id": "id", "text": "t", "label": "k"}
    run(PrepareParams(source="table", path=str(desk.data), table=table), PrepareOutputs(desk.out), progress)
    assert progress.done == 2
