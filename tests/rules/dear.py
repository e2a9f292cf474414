"""Which tests are dear: those of dear.txt, measured and not felt. `make test` leaves them to `make test-all`.

A line of the list is the id of a test, without parameters for all of its cases, or a file for all of its tests. A test
belongs there when it takes more than 0.4 s of processor, and others of its file try what is nearest to it; what tries
safety, damage or leaks stays in `make test` all the same. To measure:
`TEST_SECONDS=FILE python -m pytest -n 2 -p tests.rules.dear` adds a line for each test to FILE, seconds of
processor and id, those of child processes included.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("dear.txt")


def names() -> frozenset[str]:
    """Return the lines of the list."""
    return frozenset(line for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#"))


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that the list names as dear."""
    listed = names()
    for item in items:
        file, function = item.nodeid.partition("::")[0], item.nodeid.partition("[")[0]
        if not listed.isdisjoint((item.nodeid, function, file)):
            item.add_marker(pytest.mark.dear)


def _seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Write down what a test took, when this module is loaded as a plugin."""
    before = _seconds()
    result = yield
    if path := os.environ.get("TEST_SECONDS"):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(f"{_seconds() - before:.2f} {item.nodeid}\n")
    return result
