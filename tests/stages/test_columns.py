"""A choice of rows costs what lies near it: their row groups are read, and the footer once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import columns
from stages.columns import Columns

GROUP, ROWS = 100, 950
TEXTS = [None if row % 7 == 0 else f"text {row}" for row in range(ROWS)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten row groups, the last one shorter."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"text.a": pa.array(TEXTS, pa.string())}), path, row_group_size=GROUP)
    return path


@pytest.mark.parametrize("together", [1, 3, 64])
def test_rows_come_in_the_order_asked_and_as_often(table: Path, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_GROUPS_AT_ONCE", together)
    rows = np.random.default_rng(0).integers(0, ROWS, 400)
    edges = [0, 99, 100, 101, 899, 900, 949, 949, 0]
    for chosen in (rows, np.array(edges), np.sort(rows), np.arange(950)[::-1], np.array([], np.int64)):
        assert Columns(table).chosen("text.a", chosen).to_pylist() == [TEXTS[row] for row in chosen]


def test_only_the_row_groups_of_the_rows_are_read(table: Path) -> None:
    column = pq.ParquetFile(table).metadata.row_group(4).column(0)
    data = bytearray(table.read_bytes())
    for at in range(column.data_page_offset, column.data_page_offset + 40):
        data[at] ^= 255
    table.write_bytes(data)
    found = Columns(table)
    others = np.r_[0:400, 500:950]
    assert found.chosen("text.a", others).to_pylist() == [TEXTS[row] for row in others]
    with pytest.raises(OSError):  # noqa: PT011 (what it says is pyarrow's)
        found.chosen("text.a", np.array([450]))


def test_the_file_is_opened_once(table: Path) -> None:
    found = Columns(table)
    found.chosen("text.a", np.array([3]))
    table.unlink()
    assert found.chosen("text.a", np.array([911, 5])).to_pylist() == ["text 911", "text 5"]


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_row_that_is_not_there_is_refused(table: Path, row: int) -> None:
    with pytest.raises(IndexError, match=r"expected rows of .* from 0 to 949"):
        Columns(table).chosen("text.a", np.array([3, row]))
