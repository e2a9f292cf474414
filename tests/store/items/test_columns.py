"""A choice of rows costs what lies near it: their row groups are read, and the footer once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.items.columns import Columns

GROUP, ROWS = 100, 950
TEXTS = [None if row % 7 == 0 else f"text {row}" for row in range(ROWS)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten row groups, the last one shorter."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"text.a": pa.array(TEXTS, pa.string())}), path, row_group_size=GROUP)
    return path


def test_rows_come_in_the_order_asked_and_as_often(table: Path) -> None:
    rows = np.random.default_rng(0).integers(0, ROWS, 400)
    edges = [0, 99, 100, 101, 899, 900, 949, 949, 0]
    for chosen in (rows, np.array(edges), np.sort(rows), np.arange(950)[::-1], np.array([], np.int64)):
        assert Columns(table).chosen("text.a", chosen) == [TEXTS[row] for row in chosen]


def test_only_the_row_groups_of_the_rows_are_read(table: Path) -> None:
    column = pq.ParquetFile(table).metadata.row_group(4).column(0)
    data = bytearray(table.read_bytes())
    for at in range(column.data_page_offset, column.data_page_offset + 40):
        data[at] ^= 255
    table.write_bytes(data)
    found = Columns(table)
    others = np.r_[0:400, 500:950]
    assert found.chosen("text.a", others) == [TEXTS[row] for row in others]
    with pytest.raises(OSError):  # noqa: PT011 (what it says is pyarrow's)
        found.chosen("text.a", np.array([450]))


@pytest.mark.slow
def test_row_groups_of_more_text_than_one_arrow_array_holds(tmp_path: Path) -> None:
    path, texts = tmp_path / "table.parquet", pa.table({"text.a": ["x" * 1_000_000] * 1100})
    with pq.ParquetWriter(path, texts.schema, compression="zstd") as writer:
        writer.write_table(texts)
        writer.write_table(texts)
    assert [len(each) for each in Columns(path).chosen("text.a", np.array([2199, 0]))] == [1_000_000] * 2


def test_a_file_without_rows_has_none_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"text.a": pa.array([], pa.string())}), path)
    assert Columns(path).chosen("text.a", np.array([], np.int64)) == []
    with pytest.raises(IndexError, match="expected rows"):
        Columns(path).chosen("text.a", np.array([0]))


def test_the_file_is_opened_once(table: Path) -> None:
    found = Columns(table)
    found.chosen("text.a", np.array([3]))
    table.unlink()
    assert found.chosen("text.a", np.array([911, 5])) == ["text 911", "text 5"]


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_row_that_is_not_there_is_refused(table: Path, row: int) -> None:
    with pytest.raises(IndexError, match=r"expected rows of .* from 0 to 949"):
        Columns(table).chosen("text.a", np.array([3, row]))
