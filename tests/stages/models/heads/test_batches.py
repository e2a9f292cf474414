"""Batches: every row once, whatever it is read from; an error in reading ahead reaches the one who iterates."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from stages.models.heads.batches import Batches, RowDataset
from stages.models.heads.model import LabelledRows

X = np.arange(46, dtype=np.float32).reshape(23, 2)
Y = np.arange(23)


class Table:
    """Rows that vary in training, read from who knows where."""

    shape = X.shape

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return X[rows]

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return X[rows] + rng.random((len(rows), 1), dtype=np.float32) / 2


class Failing(Table):
    def __getitem__(self, rows: Any) -> np.ndarray:
        if 12 in rows:
            raise OSError("the disk is gone")
        return X[rows]


def batches(x: Any, seed: int = 3, **how: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    torch.manual_seed(seed)
    return [(x.numpy(), y.numpy()) for x, y in Batches(RowDataset(LabelledRows(x, Y)), 5, **how)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_table_gives_the_batches_of_an_array(shuffle: bool) -> None:
    array, table = batches(X, shuffle=shuffle), batches(Table(), shuffle=shuffle)
    assert [len(x) for x, _ in array] == [5, 5, 5, 5, 3]
    for ours, theirs in zip(array, table, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
        np.testing.assert_array_equal(ours[0], X[ours[1]])
    seen = np.concatenate([y for _, y in table])
    np.testing.assert_array_equal(np.sort(seen), Y)
    assert (seen != Y).any() == shuffle


def test_what_varies_is_drawn_in_the_order_of_the_batches() -> None:
    def drawn() -> np.ndarray:
        torch.manual_seed(0)
        dataset = RowDataset(LabelledRows(Table(), Y), np.random.default_rng(4))
        return np.concatenate([x.numpy() for x, _ in Batches(dataset, 5)])

    rng = np.random.default_rng(4)
    expected = [Table().batch(np.arange(at, min(at + 5, 23)), rng) for at in range(0, 23, 5)]
    for _ in range(5):
        np.testing.assert_array_equal(drawn(), np.concatenate(expected))


def test_an_error_of_reading_comes_with_its_batch() -> None:
    found = iter(Batches(RowDataset(LabelledRows(Failing(), Y)), 5))
    assert [len(next(found)[0]) for _ in range(2)] == [5, 5]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_who_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    found = iter(Batches(RowDataset(LabelledRows(Table(), Y)), 5))
    next(found)
    found.close()
    assert threading.active_count() == before


def test_no_rows_are_no_batches() -> None:
    assert list(Batches(RowDataset(LabelledRows(X[:0], Y[:0])), 5)) == []
