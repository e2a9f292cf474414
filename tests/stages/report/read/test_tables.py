"""Tables of texts and numbers: what is not there is empty, what is malformed names the command that writes it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stages.report.read.tables import Row, read_table
from store.errors import InputError


def read(path: Path, content: bytes) -> list[Row]:
    path.write_bytes(content)
    return read_table(path, ("name",), ("count",), blank=("share", "more"))


def test_texts_numbers_and_what_may_be_blank(tmp_path: Path) -> None:
    first, second = read(tmp_path / "t.csv", b"name,count,share\na,3,\nb,4.5,.25\n")
    assert (first.texts, first.count("count"), second.numbers["count"]) == ({"name": "a"}, 3, 4.5)
    assert math.isnan(first.numbers["share"])
    assert second.numbers["share"] == 0.25
    assert math.isnan(second.numbers["more"])


def test_no_file_and_no_row_are_empty(tmp_path: Path) -> None:
    assert read_table(tmp_path / "none.csv", ("name",), ()) == read(tmp_path / "t.csv", b"name,count\n") == []


MALFORMED = (
    b"", b"name\na\n", b"name,count\na,many\n", b"name,count\na,nan\n", b"name,count\na\n", b"name,count\n\xff,1\n",
    b"name,count,share\na,1,inf\n",
)  # fmt: skip


@pytest.mark.parametrize("content", MALFORMED)
def test_a_malformed_table_says_what_to_run(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"t\.csv.*run `diptych evaluate` again"):
        read(tmp_path / "t.csv", content)
