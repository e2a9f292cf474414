"""Which tests a combination takes: of every file a share of its cases, another one for each combination.

The tests of a file look at one thing, and what breaks one breaks several. What a single case shows is seen by one
combination or another, as each draws for itself, or by all cases (`--whole`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from zlib import crc32

SHARE = "DIPTYCH_TEST_SHARE"
"""Read by tests/conftest.py: a number and a word, such as `4 mkl`: a fourth of the cases, drawn by the word."""


def drawn(names: Iterable[str], share: str) -> set[str]:
    """Return of each file the share of its cases, at least one.

    Parameters
    ----------
    names : iterable of str
        Node ids as pytest gives them.
    share : str
        As in `SHARE`.
    """
    part, _, word = share.partition(" ")
    cases = defaultdict(list)
    for name in names:
        cases[name.partition("::")[0]].append(name)
    found = set[str]()
    for each in cases.values():
        found |= set(sorted(each, key=lambda name: crc32(f"{word} {name}".encode()))[: -(-len(each) // int(part))])
    return found
