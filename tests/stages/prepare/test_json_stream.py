"""JSON files of any size: the entries come as the module json gives them, and a fault is told with its place."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from stages.errors import InputError
from stages.prepare.sources import json_stream
from stages.prepare.sources.json_stream import json_entries

CONTENT = {
    "info": {"list": [1, {"a": [2]}], "text": '"]}, [{'},
    "rows": [1, -2.5e3, "ü\n\\", None, True, {"deep": [[["x"]]]}, [], {}],
    "empty": [],
    "more": [{"id": number, "text": "é" * number} for number in range(40)],
    "end": 12,
}


def put(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("characters", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_entries_do_not_depend_on_where_the_windows_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, characters: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, "_CHARACTERS_AT_ONCE", characters)
    path = put(tmp_path, "\ufeff \n" + json.dumps(CONTENT, ensure_ascii=False, indent=indent) + "\n")
    expected: list[tuple[str, str, Any]] = [
        (key, f"x.json:{key}[{position}]", value)
        for key, values in CONTENT.items()
        if isinstance(values, list)
        for position, value in enumerate(values)
    ]
    assert list(json_entries(path)) == expected


@pytest.mark.parametrize("characters", [1, 1 << 20])
def test_a_list_at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, characters: int) -> None:
    monkeypatch.setattr(json_stream, "_CHARACTERS_AT_ONCE", characters)
    entries = list(json_entries(put(tmp_path, "[10, 200]")))
    assert entries == [("", "x.json:[0]", 10), ("", "x.json:[1]", 200)]
    assert list(json_entries(put(tmp_path, " [ ] "))) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "x.json: expected a JSON object or list, found the end of the file"),
        ("3", "x.json: expected a JSON object or list, found '3'"),
        ('{"a": [1, 2', "x.json:a[1]: expected a comma or ], found the end of the file"),
        ('{"a": [1 2]}', "x.json:a[0]: expected a comma or ], found '2'"),
        ('{"a": [{"b": 1}, {"b": tru}]}', "x.json:a[1]: expected JSON, found 'Expecting value'"),
        ('{"a": ["never closed]}', "x.json:a[0]: expected JSON, found 'Unterminated string"),
        ('{"a": ', "x.json:a: expected JSON, found the end of the file"),
        ('{"a" 1}', "x.json:a: expected a colon, found '1'"),
        ('{"a": 1,}', "x.json:a: expected a key, found '}'"),
        ("{1: 2}", "x.json: expected a key, found '1'"),
        ("[] []", "x.json: expected the end of the file, found '['"),
        (b'["\xff"]', "expected UTF-8 text from here on, found the byte 0xFF"),
        (json.dumps(CONTENT).encode("utf-16"), "expected UTF-8 text from here on, found the byte 0xFF"),
        ("[" + "9" * 5000 + "]", "x.json:[0]: expected JSON, found 'Exceeds the limit"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, content: str | bytes, told: str) -> None:
    with pytest.raises(InputError) as caught:
        list(json_entries(put(tmp_path, content)))
    assert told in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a JSON file at"):
        list(json_entries(tmp_path / "none.json"))


def test_deep_nesting_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = put(tmp_path, '{"a": [' + "[" * 300_000)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"x\.json:a\[0\]: expected JSON, found 'maximum recursion depth"):
            list(json_entries(path))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_an_entry_beyond_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHARACTERS_AT_ONCE", 16)
    monkeypatch.setattr(json_stream, "_LARGEST_ENTRY", 64)
    assert [entry.value for entry in json_entries(put(tmp_path, json.dumps(["x" * 30] * 9)))] == ["x" * 30] * 9
    with pytest.raises(InputError, match=r"x\.json:\[1\]: expected JSON in entries below 64 characters"):
        list(json_entries(put(tmp_path, json.dumps(["x", "x" * 200, "x"]))))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHARACTERS_AT_ONCE", 1 << 12)
    path = put(tmp_path, json.dumps({"rows": [{"text": "x" * 200}] * 5_000}))
    assert path.stat().st_size > 1_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in json_entries(path)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
