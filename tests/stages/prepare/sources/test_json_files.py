"""Other people's JSON: entries as the module json gives them, faults with their place, values however spelled."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from stages.prepare.sources import json_files
from stages.prepare.sources.json_files import id_order, identity, is_writable, json_entries, number, text
from store.errors import InputError

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
    monkeypatch.setattr(json_files, "_CHARACTERS_AT_ONCE", characters)
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
    monkeypatch.setattr(json_files, "_CHARACTERS_AT_ONCE", characters)
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
    monkeypatch.setattr(json_files, "_CHARACTERS_AT_ONCE", 16)
    monkeypatch.setattr(json_files, "_LARGEST_ENTRY", 64)
    assert [entry.value for entry in json_entries(put(tmp_path, json.dumps(["x" * 30] * 9)))] == ["x" * 30] * 9
    with pytest.raises(InputError, match=r"x\.json:\[1\]: expected JSON in entries below 64 characters"):
        list(json_entries(put(tmp_path, json.dumps(["x", "x" * 200, "x"]))))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "_CHARACTERS_AT_ONCE", 1 << 12)
    path = put(tmp_path, json.dumps({"rows": [{"text": "x" * 200}] * 5_000}))
    assert path.stat().st_size > 1_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in json_entries(path)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (7, "7"),
        (-7, "-7"),
        (7.0, "7"),
        ("7", "7"),
        ("007", "007"),
        (" 7 ", " 7 "),
        (10**30, "1" + "0" * 30),
        *((other, None) for other in (None, "", "  ", True, False, 7.5, float("nan"), float("inf"), [7], {"id": 7})),
    ],
)
def test_ids_keep_every_character(value: Any, spelled: str | None) -> None:
    assert identity(value) == spelled


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, 3.0),
        ("3.5", 3.5),
        (" 1e2 ", 100.0),
        *((other, None) for other in (None, "", "wide", True, "nan", float("inf"), 10**400, [3])),
    ],
)
def test_numbers_are_finite(value: Any, found: float | None) -> None:
    assert number(value) == found


def test_texts_are_exact_or_missing() -> None:
    assert text(" a ") == " a "
    assert text(None) is text(" \n") is None
    for other in (5, True, ["a"]):
        with pytest.raises(TypeError, match="expected text, found"):
            text(other)
    assert is_writable("ü", None, "\U0001f600")
    assert not is_writable("ü", "\ud800")


def test_ids_are_sorted_by_value_before_words() -> None:
    assert sorted(["b", "10", "9", "a", "-1", "٣", "9" * 20], key=id_order) == [
        "-1",
        "9",
        "10",
        "9" * 20,
        "a",
        "b",
        "٣",
    ]
