"""Reading ahead: batches in the order asked for, what cannot be read left out and told, anything else raised."""

from __future__ import annotations

import pytest

from stages.errors import ItemError
from stages.fit.finetune.reading import Reader


def test_batches_come_in_order_without_what_failed() -> None:
    def prepare(item: int) -> int:
        if item in {3, 8, 9}:
            raise ItemError(f"no {item}")
        return item * 10

    reader = Reader(3)
    order = [5, 3, 1, 0, 9, 8, 7, 2, 4, 6]
    batches = list(reader.batches(order, 2, prepare))
    assert [batch.number for batch in batches] == [0, 1, 3, 4]
    assert [batch.items for batch in batches] == [[5], [1, 0], [7, 2], [4, 6]]
    assert [batch.prepared for batch in batches] == [[50], [10, 0], [70, 20], [40, 60]]
    assert reader.failed == {item: f"ItemError: no {item}" for item in (3, 8, 9)}


def test_a_fault_of_the_code_is_raised() -> None:
    def prepare(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(Reader(2).batches(range(8), 4, prepare))


def test_stopping_early_prepares_only_a_few_batches_ahead() -> None:
    begun = []
    stream = Reader(1).batches(range(1000), 2, begun.append)
    next(stream)
    stream.close()
    assert len(begun) <= 8
