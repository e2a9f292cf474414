"""The metadata of WebVision: arrays are streamed into an index that is found again, and made again when they change."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.prepare.sources.published.webvision.layout import MetadataFile
from stages.prepare.sources.published.webvision.metadata import (
    Entry,
    MetadataIndex,
    open_index,
    read_entry,
    stream_entries,
)
from store.errors import InputError, RunError
from tests.stages.prepare.sets.preparing import prepare_into, rows_of
from tests.stages.prepare.sets.webvision import training_rows, write_webvision


def array(folder: Path, content: Any, origin: str = "google", name: str = "q0001.json") -> MetadataFile:
    path = folder / origin / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return MetadataFile(origin, f"{origin}/{name}", path)


def indexed(tmp_path: Path, *files: MetadataFile) -> MetadataIndex:
    return MetadataIndex(open_index(files, tmp_path / "cache"))


@pytest.mark.parametrize(
    ("fields", "entry"),
    [
        ({"title": "A &amp; B", "description": "5 &lt; 6 &#39;x&#39;"}, ("A & B", "5 < 6 'x'", None)),
        ({"title": "", "description": " \n"}, (None, None, None)),
        ({"title": None}, (None, None, None)),
        ({"title": 42, "description": ["no", "text"]}, ("42", None, None)),
        ({"tags": "one two"}, (None, None, "one two")),
        ({"tags": ["one", "two"]}, (None, None, "one two")),
        ({"tags": []}, (None, None, None)),
        ({"title": "half \ud83d of a pair"}, ("half ? of a pair", None, None)),
    ],
)
def test_what_an_entry_says(fields: dict[str, Any], entry: tuple[str | None, ...]) -> None:
    assert read_entry("flickr", fields) == Entry("flickr", *entry)


def test_entries_are_found_by_id_and_by_place(tmp_path: Path) -> None:
    google = array(tmp_path, [{"id": "a", "title": "one"}, {"id": "b", "title": "two"}])
    more = array(tmp_path, [{"id": "a", "title": "later"}, {"title": "nameless"}], name="q0002.json")
    flickr = array(tmp_path, [{"id": 7, "title": "seven"}, {"id": "a", "title": "photo", "tags": "x"}], "flickr")
    index = indexed(tmp_path, google, more, flickr)
    assert (index.files, index.entries, index.without_id()) == (3, 6, 1)
    assert index.by_id("a", None) == Entry("google", "one", None, None)
    assert index.by_id("a", "flickr") == Entry("flickr", "photo", None, "x")
    assert index.by_id("7", None) == Entry("flickr", "seven", None, None)
    assert index.by_id("c", None) is None
    found = index.by_place("google/q0002.json 1")
    assert found is not None
    assert (found.id, found.entry.title) == ("a", "later")
    assert index.by_place("flickr_json/q0001.json 2") == ("a", Entry("flickr", "photo", None, "x"))
    nameless = index.by_place("google/q0002.json 2")
    assert nameless is not None
    assert nameless.id == ""
    for nowhere in ("google/q0002.json 0", "google/q0002.json 3", "google/q0009.json 1", "google/q0002.json x", ""):
        assert index.by_place(nowhere) is None
    index.close()


def test_the_index_is_found_again_and_made_again_when_a_file_changes(tmp_path: Path) -> None:
    file = array(tmp_path, [{"id": "a", "title": "one"}])
    path = open_index([file], tmp_path / "cache")
    made = path.stat().st_mtime_ns, path.stat().st_ino
    assert open_index([file], tmp_path / "cache") == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == made
    array(tmp_path, [{"id": "a", "title": "other"}])
    index = indexed(tmp_path, file)
    assert index.by_id("a", None) == Entry("google", "other", None, None)
    index.close()
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_an_index_that_is_damaged_is_made_again_and_told(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = array(tmp_path, [{"id": "a", "title": "one"}])
    path = open_index([file], tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:size])
    index = indexed(tmp_path, file)
    assert index.by_id("a", None) == Entry("google", "one", None, None)
    index.close()
    assert "is damaged: it is made again" in caplog.text


def test_an_index_that_is_damaged_while_it_is_read(tmp_path: Path) -> None:
    file = array(tmp_path, [{"id": f"{number:04d}", "title": "x" * 500} for number in range(400)])
    path = open_index([file], tmp_path / "cache")
    content = path.read_bytes()
    path.write_bytes(content[:20480] + b"\xff" * (len(content) - 20480))
    index = MetadataIndex(path)
    with pytest.raises(RunError, match=r"expected a sound index of the metadata at .*; delete it"):
        [index.by_id(f"{number:04d}", None) for number in range(400)]
    index.close()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"id": "a"}, {"id": ', r"q0001\.json:\[1\]: expected JSON, found "),
        (b'[{"id": "a"}, "b"]', r"google: q0001\.json:\[1\]: expected an object of a JSON array"),
        (b'{"a": [{"id": "a"}]}', r"google/q0001\.json: expected a JSON array, found something else"),
        (b'{"id": "a"}', r"google/q0001\.json: expected a JSON array, found something else"),
        (b"", "expected a JSON array, found something else"),
        (b'[{"id": "\xff"}]', "expected UTF-8 text"),
        (b'[{"id": "a"}] [', "expected the end of the file"),
        (b'[{"id": ' + b"[" * 30_000, "expected JSON, found "),
    ],
)
def test_a_wrong_array_is_told_with_the_entry_and_leaves_no_index(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_index([array(tmp_path, content)], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_array_is_a_stream(tmp_path: Path) -> None:
    content = json.dumps([{"id": str(number), "text": "x" * 500} for number in range(5000)]).encode()
    stream = stream_entries(array(tmp_path, content[:-1] + b" damaged"))
    assert [next(stream)["id"] for _ in range(3000)] == [str(number) for number in range(3000)]
    with pytest.raises(InputError, match=r":\[4999\]: expected a comma or \]"):
        list(stream)


def test_lists_of_metadata_that_are_shifted_by_one_still_join_by_id_and_are_told(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "original", "1.0")
    listed = tmp_path / "set" / "info" / "train_meta_list_google.txt"
    rows = [line.rsplit(" ", 1) for line in listed.read_text().splitlines()]
    listed.write_text("".join(f"{name} {int(number) - 1}\n" for name, number in rows))
    manifest, summary = prepare_into("webvision", tmp_path / "set", tmp_path / "out")
    assert f"{len(rows)} rows whose line in the list of metadata names no entry of theirs" in summary.notes
    found = rows_of(manifest)
    for picture in training_rows():
        assert picture.known is (found[f"{picture.wnid}/{picture.id}"]["title"] is not None)


def test_the_cache_keeps_the_index_and_the_outputs_never_do(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "reorganised")
    prepare_into("webvision", tmp_path / "set", tmp_path / "out", tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    made = path.stat().st_ino
    prepare_into("webvision", tmp_path / "set", tmp_path / "out", tmp_path / "cache")
    assert [each.stat().st_ino for each in (tmp_path / "cache").iterdir()] == [made]
    prepare_into("webvision", tmp_path / "set", tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "manifest.parquet",
        "rejects.csv",
        "summary.json",
    ]
