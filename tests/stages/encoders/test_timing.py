"""Where the seconds of a run went: summed over threads, by phase, the bottleneck named."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from stages.encoders.batching import encode_stream
from stages.encoders.timing import Seconds

from .lengths import Lengths, gathered


def test_the_seconds_of_each_phase_are_added_up():
    encoder = Lengths()
    encode, prepare, seconds = encoder.encode, encoder.prepare, Seconds()

    def slowly(seconds: float, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def act(argument: Any) -> Any:
            time.sleep(seconds)
            return call(argument)

        return act

    encoder.prepare, encoder.encode = slowly(0.02, prepare), slowly(0.01, encode)
    load = slowly(0.01, lambda item: f"{item}:1")
    assert len(gathered(list(encode_stream(encoder, load, 20, 4, seconds)))) == 20
    assert seconds.read >= 0.2  # summed over the threads
    assert seconds.decode >= 0.4
    assert 0.02 <= seconds.infer <= seconds.wall
    assert seconds.wall < seconds.read + seconds.decode
    assert seconds.load == seconds.write == 0
    assert seconds.workers == 4


@pytest.mark.parametrize(
    ("spent", "slowest"),
    [
        ({"read": 3.9, "infer": 2.0}, "infer"),
        ({"read": 4.1, "infer": 2.0}, "read"),
        ({"decode": 5.0, "write": 2.4}, "decode"),
        ({"load": 99.0, "write": 0.1}, "write"),
    ],
)
def test_the_bottleneck_is_the_longest_phase_where_threads_share_theirs(spent, slowest):
    seconds = Seconds(workers=2, **spent)
    assert seconds.bottleneck == slowest
    assert seconds.by_phase() == {"load": 0, "read": 0, "decode": 0, "infer": 0, "write": 0, **spent}


def test_a_phase_that_ends_in_an_error_is_counted_too():
    seconds = Seconds()

    def fail() -> None:
        with seconds.of("write"):
            time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seconds.write >= 0.01
