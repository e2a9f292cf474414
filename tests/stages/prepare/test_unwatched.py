"""What `prepare` reads where DVC does not watch: every source's pictures and files are noted, and real edits found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.contract import SilentProgress
from stages.prepare import unwatched
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources.catalog import SOURCES
from stages.prepare.unwatched import Changes, compare, last_notes, notes_of, taking_notes
from store.errors import InputError
from store.files.reading import trust_roots
from store.items.records import Item
from tests.stages.prepare.desk import COLUMNS, VOCABULARY, picture
from tests.stages.prepare.sets.coco import write_coco
from tests.stages.prepare.sets.goodreads import write_goodreads, write_goodreads_table
from tests.stages.prepare.sets.mmfrb import write_mmfrb
from tests.stages.prepare.sets.nlvr import write_nlvr
from tests.stages.prepare.sets.visual_genome import write_visual_genome
from tests.stages.prepare.sets.webvision import write_webvision


def write_table(folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    for number in range(6):
        (folder / "pictures" / f"{number}.png").write_bytes(picture(number))
    rows = [f"r{number},{number}.png,text {number},{'ab'[number % 2]}" for number in range(6)]
    (folder / "tables").mkdir()
    (folder / "tables" / "t.csv").write_text("\n".join(["id,image,caption,kind", *rows]) + "\n")


@dataclass(frozen=True)
class Way:
    """A way to name a data set whose pictures DVC does not watch.

    `path` and `root` are below its folder; `pictures` is a pattern of some pictures, `files` are further files that are
    read and not watched.
    """

    source: str
    write: Callable[[Path], object]
    path: str
    pictures: str
    files: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    root: bool = True

    def params(self, folder: Path) -> PrepareParams:
        root = {"root": str(folder)} if self.root else {}
        named = {key: value(folder) if callable(value) else value for key, value in self.more.items()}
        return PrepareParams.model_validate(
            {"source": self.source, "path": str(folder / self.path), **root, **named, "max_reject_share": 0.2}
        )


ELSEWHERE = {"table": lambda folder: {**COLUMNS, "images": str(folder / "pictures")}}
WAYS = {
    "coco": Way("coco", write_coco, "annotations", "val2014/*.jpg"),
    "coco, one file": Way(
        "coco",
        write_coco,
        "annotations/captions_val2014.json",
        "train2014/*.jpg",
        ("annotations/captions_train2014.json", "annotations/instances_val2014.json"),
    ),
    "webvision": Way(
        "webvision",
        write_webvision,
        "info",
        "google/q*/*.jpg",
        ("google/q0001.json", "flickr/q0002.json"),
    ),
    "webvision, reorganised": Way(
        "webvision",
        lambda folder: write_webvision(folder, "reorganised"),
        "info",
        "train/n*/*.jpg",
        ("meta/train.txt", "meta/synsets.txt", "google/q0001.json"),
    ),
    "webvision, a file each": Way(
        "webvision",
        lambda folder: write_webvision(folder, "per_image"),
        "info",
        "train/n*/*.jpg",
        ("train/n01440764/tNq0000xYz",),
    ),
    "visual_genome": Way(
        "visual_genome",
        write_visual_genome,
        "image_data.json",
        "VG_100K/*.jpg",
        ("region_descriptions.json", "objects.json"),
        {"visual_genome": {"classes": 4, "subset": None}},
    ),
    "goodreads": Way(
        "goodreads",
        write_goodreads,
        "goodreads_books.json.gz",
        "images/*",
        ("goodreads_book_genres_initial.json.gz",),
    ),
    "goodreads, the table": Way("goodreads", write_goodreads_table, "books_with_genres.csv", "images/*"),
    "nlvr": Way("nlvr", write_nlvr, "dev/dev.json", "dev/images/0/*.png"),
    "mmfrb": Way("mmfrb", write_mmfrb, "products.jsonl", "images/*.jpg"),
    "mmfrb, the file": Way("mmfrb", write_mmfrb, "products.jsonl", "images/*.jpg", root=False),
    "table, pictures elsewhere": Way("table", write_table, "tables", "pictures/*.png", (), ELSEWHERE, root=False),
    "table, the file": Way("table", write_table, "tables/t.csv", "pictures/*.png", (), ELSEWHERE, root=False),
}


@dataclass
class Prepared:
    """A data set that was prepared, with its notes."""

    folder: Path
    params: PrepareParams
    out: Path
    notes: Path

    def run(self) -> None:
        run(self.params, PrepareOutputs(self.out, unwatched=self.notes), SilentProgress())

    def changes(self) -> Changes:
        found = notes_of(self.notes, self.out / "manifest.parquet")
        assert found is not None
        return compare(found, SilentProgress())


def prepared(tmp_path: Path, way: Way) -> Prepared:
    folder = tmp_path / "set"
    way.write(folder)
    made = Prepared(folder, way.params(folder), tmp_path / "out" / "prepare", tmp_path / "notes")
    made.run()
    return made


def other_bytes(path: Path) -> None:
    """Change bytes at the end of a file, and not its size."""
    content = path.read_bytes()
    path.write_bytes(content[:-4] + bytes(255 - byte for byte in content[-4:]))


def test_every_source_that_brings_pictures_is_here() -> None:
    assert {way.source for way in WAYS.values()} == {row.name for row in SOURCES} - {"scenes"}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_an_edited_picture_is_found_however_it_was_edited(tmp_path: Path, way: Way) -> None:
    made = prepared(tmp_path, way)
    before = made.changes()
    pictures = sorted(path for path in made.folder.glob(way.pictures) if path.is_file() and path.suffix != ".json")
    assert before.files >= len(pictures) >= 3
    assert before == Changes(before.files)
    first, second, third = pictures[:3]
    other_bytes(first)
    assert made.changes() == Changes(before.files, 1, 0, str(first))
    second.write_bytes(second.read_bytes() + b"more")
    third.unlink()
    after = made.changes()
    assert (after.files, after.changed, after.removed) == (before.files, 3, 1)
    made.run()  # all is read again, and noted anew
    again = made.changes()
    assert (again.changed, again.removed) == (0, 0)
    third.write_bytes(first.read_bytes())
    back = made.changes()
    # A cover that is not there makes a book without a picture, of which nobody knows where it would be.
    assert (back.changed, back.removed) == ((0, 0) if way.source == "goodreads" else (1, 0))


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, way in WAYS.items() for file in way.files])
def test_an_edited_file_is_found(tmp_path: Path, name: str, file: str) -> None:
    made = prepared(tmp_path, WAYS[name])
    assert made.changes().changed == 0
    path = made.folder / file
    stamp = path.stat()
    other_bytes(path)
    assert path.stat().st_size == stamp.st_size
    assert made.changes() == Changes(made.changes().files, 1, 0, str(path))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # what no stamp can tell
    assert made.changes().changed == 0


@pytest.mark.parametrize(
    ("source", "write", "more"),
    [
        ("coco", write_coco, {}),
        ("webvision", lambda folder: write_webvision(folder, "per_image"), {}),
        ("mmfrb", write_mmfrb, {}),
        ("table", write_table, {"table": {**COLUMNS, "file": "tables/t.csv", "images": "pictures"}}),
    ],
)
def test_where_dvc_watches_all_nothing_is_noted(
    tmp_path: Path, source: str, write: Callable[[Path], object], more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "set")
    write(tmp_path / "data")
    if "table" in more:
        more = {"table": {**more["table"], "images": str(tmp_path / "data" / "pictures")}}
    params = PrepareParams.model_validate({"source": source, "path": "../data", "max_reject_share": 0.2, **more})
    made = Prepared(tmp_path / "data", params, tmp_path / "out" / "prepare", tmp_path / "notes")
    made.run()
    assert made.changes() == Changes(0)


def test_scenes_that_are_drawn_are_an_output_and_not_noted(tmp_path: Path) -> None:
    asked = {"source": "scenes", "path": str(VOCABULARY), "scenes": {"items": 3, "size": 32}}
    params = PrepareParams.model_validate(asked)
    run(params, PrepareOutputs(tmp_path / "prepare", unwatched=tmp_path / "notes"), SilentProgress())
    assert not (tmp_path / "notes").exists()


def test_a_run_without_a_place_for_notes_takes_none_and_writes_the_same(tmp_path: Path) -> None:
    made = prepared(tmp_path, WAYS["coco"])
    run(made.params, PrepareOutputs(tmp_path / "other"), SilentProgress())
    for name in ("manifest.parquet", "rejects.csv", "summary.json"):
        assert (tmp_path / "other" / name).read_bytes() == (made.out / name).read_bytes()
    assert len(list(made.notes.iterdir())) == 1


def test_a_failed_run_leaves_no_notes(tmp_path: Path) -> None:
    write_coco(tmp_path / "set")
    for path in (tmp_path / "set" / "val2014").iterdir():
        path.write_bytes(b"no picture")
    params = WAYS["coco"].params(tmp_path / "set").model_copy(update={"max_reject_share": 0.0})
    with pytest.raises(InputError, match="max_reject_share"):
        run(params, PrepareOutputs(tmp_path / "out", unwatched=tmp_path / "notes"), SilentProgress())
    assert not list((tmp_path / "notes").iterdir())


def test_paths_that_may_not_be_followed_are_not_looked_at(tmp_path: Path) -> None:
    made = prepared(tmp_path, WAYS["table, the file"])
    rows = ["x,../../../etc/passwd,a,a", "y,/etc/passwd,b,b", "z,gone.png,c,a", "w,1.png\\..,d,b", "v,~/1.png,e,a"]
    table = made.folder / "tables" / "t.csv"
    table.write_text(table.read_text() + "\n".join([*rows, ""]))
    made.params = made.params.model_copy(update={"max_reject_share": 1.0})
    made.run()
    notes = notes_of(made.notes, made.out / "manifest.parquet")
    assert notes is not None
    noted = pq.read_table(notes).column("path").to_pylist()
    assert sorted(noted) == [str(made.folder / "pictures" / f"{name}.png") for name in (*range(6), "gone")]


def test_half_of_a_surrogate_pair_is_no_path(tmp_path: Path) -> None:
    items = [Item(name, name, {}, ("a",), None, name) for name in ("\ud800.png", "\0.png", "is.png")]
    manifest = tmp_path / "out" / "manifest"
    manifest.parent.mkdir()
    with taking_notes(tmp_path, WAYS["coco"].params(tmp_path), tmp_path / "pictures", manifest) as notebook:
        assert list(notebook.pictures(items)) == items
        manifest.write_bytes(b"a manifest")
    noted = notes_of(tmp_path, manifest)
    assert noted is not None
    assert pq.read_table(noted).to_pylist() == [
        {"path": str(tmp_path / "pictures" / "is.png"), "size": None, "mtime_ns": None}
    ]


def test_notes_are_found_by_the_manifest_and_by_the_data_set(tmp_path: Path) -> None:
    made = prepared(tmp_path, WAYS["coco"])
    (first,) = made.notes.iterdir()
    other = made.params.model_copy(update={"root": f"{made.folder}/."})
    assert last_notes(made.notes, made.params) == first
    assert last_notes(made.notes, other) is None
    assert notes_of(made.notes, made.folder / "annotations" / "captions_val2014.json") is None
    for number in range(unwatched._KEPT + 2):  # as many manifests: the oldest notes go
        made.params = made.params.model_copy(update={"limit": 10 + number})
        made.run()
    assert len(list(made.notes.iterdir())) == unwatched._KEPT
    assert not first.exists()
    assert last_notes(made.notes, made.params) == notes_of(made.notes, made.out / "manifest.parquet")


def test_notes_of_many_files_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwatched, "_ROWS", 7)
    made = prepared(tmp_path, WAYS["coco"])
    (notes,) = made.notes.iterdir()
    with pq.ParquetFile(notes) as file:
        assert file.num_row_groups > 5
        assert file.metadata.num_rows == 50
    for path in (made.folder / "val2014").iterdir():
        other_bytes(path)
    assert made.changes().changed == 15


def test_pictures_behind_a_link_to_a_folder_are_noted_for_dvc_does_not_enter_it(tmp_path: Path) -> None:
    folder, aside = tmp_path / "films", tmp_path / "aside"
    write_table(folder)
    (folder / "pictures").rename(aside)
    (folder / "near").mkdir()
    (folder / "far").symlink_to(aside)
    for number in (0, 1):
        (folder / "near" / f"{number}.png").symlink_to(aside / f"{number}.png")  # DVC reads behind these
    rows = [f"r{number},{'near' if number < 2 else 'far'}/{number}.png,text,{'ab'[number % 2]}" for number in range(6)]
    (folder / "t.csv").write_text("\n".join(["id,image,caption,kind", *rows]) + "\n")
    shutil.rmtree(folder / "tables")
    params = PrepareParams.model_validate({"source": "table", "path": str(folder), "table": COLUMNS})
    trust_roots([aside])
    try:
        run(params, PrepareOutputs(tmp_path / "out" / "prepare", unwatched=tmp_path / "notes"), SilentProgress())
    finally:
        trust_roots(())
    (notes,) = (tmp_path / "notes").iterdir()
    assert pq.read_table(notes)["path"].to_pylist() == [f"{folder}/far/{number}.png" for number in range(2, 6)]
    other_bytes(aside / "4.png")
    assert compare(notes, SilentProgress()) == Changes(4, 1, 0, f"{folder}/far/4.png")
