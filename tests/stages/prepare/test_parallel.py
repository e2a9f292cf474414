"""Work in threads: in order, a few inputs ahead, and stopped by an error."""

import time
from collections.abc import Iterator

import pytest

from stages.prepare.parallel import map_in_order


def test_results_come_in_the_order_of_the_inputs() -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_in_order(work, range(50))) == [number * number for number in range(50)]


def test_only_a_few_inputs_are_read_ahead() -> None:
    read = 0

    def inputs() -> Iterator[int]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield number

    stream = map_in_order(lambda number: number, inputs())
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    assert read < 50
    stream.close()  # type: ignore[attr-defined]


def test_an_error_stops_the_stream_at_its_place() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise RuntimeError("a mistake in the code")
        return number

    stream = map_in_order(work, range(1000))
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(RuntimeError, match="a mistake in the code"):
        next(stream)
