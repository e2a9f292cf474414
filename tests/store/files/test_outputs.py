"""Small outputs appear whole or not at all, and what stood there before survives a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from store.files.outputs import fresh_folder, read_small_json, write_json, write_lines


class BoomError(Exception):
    """The failure in the middle of writing."""


def fail_after(write: Callable[[str], object], text: str) -> None:
    write(text)
    raise BoomError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "lines.csv"
    with write_lines(path) as stream:
        stream.write("naïve\r\n☂\n")
        assert not path.exists()
    assert path.read_bytes() == "naïve\r\n☂\n".encode()
    assert names(path.parent) == ["lines.csv"]


@pytest.mark.parametrize("before", [None, "old\n"])
def test_a_failure_leaves_the_old_text_and_nothing_else(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "lines.csv"
    if before is not None:
        path.write_text(before)
    with pytest.raises(BoomError), write_lines(path) as stream:
        fail_after(stream.write, "half")
    assert names(tmp_path) == ([] if before is None else ["lines.csv"])
    assert before is None or path.read_text() == before


def test_json_is_sorted_readable_and_ends_its_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, "é"]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "a": [\n    0.5,\n    "é"\n  ],\n  "b": 1\n}\n'


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {1, 2}])
def test_json_that_no_reader_takes_is_refused_and_the_old_file_stays(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"fine": True})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"wrong": wrong})
    assert json.loads(path.read_text()) == {"fine": True}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"7", b'{"a": "\xff"}', b"[" * 100_000, None], ids=range(7))
def test_a_small_json_file_that_is_no_object_reads_as_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    assert read_small_json(path) == {}
    assert read_small_json(tmp_path) == {}
    write_json(path, {"a": [1, "é"]})
    assert read_small_json(path) == {"a": [1, "é"]}


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "models" / "one"
    for content in ("first", "second"):
        with fresh_folder(path) as folder:
            (folder / f"{content}.txt").write_text(content)
            (folder / "inner").mkdir()
    assert names(path) == ["inner", "second.txt"]
    assert names(path.parent) == ["one"]


@pytest.mark.parametrize("before", [False, True])
def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path, before: bool) -> None:
    path = tmp_path / "one"
    if before:
        path.mkdir()
        (path / "kept.txt").write_text("kept")
    with pytest.raises(BoomError), fresh_folder(path) as folder:
        fail_after((folder / "half.txt").write_text, "half")
    assert names(tmp_path) == (["one"] if before else [])
    assert not before or names(path) == ["kept.txt"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one"
    with fresh_folder(path) as folder:
        (folder / "kept.txt").write_text("kept")
    move, moves = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 2:  # the old one is aside, the new one is to take its name
            raise PermissionError
        return move(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(PermissionError), fresh_folder(path) as folder:
        (folder / "new.txt").write_text("new")
    assert names(tmp_path) == ["one"]
    assert names(path) == ["kept.txt"]


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a container every run may have the same process id.
    monkeypatch.setattr("os.getpid", lambda: 7)
    left: list[str] = []
    for _ in range(2):
        with fresh_folder(tmp_path / "one") as folder:
            left.append(folder.name)
            (tmp_path / "keep").mkdir(exist_ok=True)
    assert left[0] != left[1]
