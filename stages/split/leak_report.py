"""Counts and lists the leaks of a whole manifest, field by field; `run` writes what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from stages.items import Manifest
from stages.records import IMAGE
from stages.split.leaks import MOST, Leak, equal_content, listed, near_pictures
from stages.split.near import flat, varied_bits


def find_leaks(manifest: Manifest, parts: Sequence[str], near: int | None) -> tuple[dict[str, Any], Iterator[Leak]]:
    """Look for content of test in train and dev.

    Parameters
    ----------
    manifest : Manifest
        Its keys and hashes.
    parts : sequence of str, length N
        train, dev or test.
    near : int or None
        The largest Hamming distance of near-duplicates; None looks for none.

    Returns
    -------
    counts : dict
        `leaks`: per field the test rows whose content stands in train or dev as well. `near_duplicates`: None, or the
        test `rows` whose picture nearly does, the `within` asked for, how many pictures of test were `compared`, were
        too `flat`, or had no hash, and how many of the 64 bits of a hash are `varied_bits`: with few of them, pictures
        of one layout all seem near to each other. `listed_per_row`: the most others that are listed for one row, field
        and kind.
    leaks : iterator of Leak
        The pairs, by field, equal ones first.
    """
    equal = {name: equal_content(*manifest.keys(name), parts) for name in (IMAGE, *manifest.info.fields)}
    counts: dict[str, Any] = {"leaks": {name: len(np.unique(test)) for name, (test, _) in equal.items()}}
    rows = chain.from_iterable(listed(name, *pairs) for name, pairs in equal.items())
    counts |= {"near_duplicates": None, "listed_per_row": MOST}
    if near is None:
        return counts, rows
    hashes, known = manifest.dhashes()
    keys, present = manifest.keys(IMAGE)
    tested = np.asarray(parts) == "test"
    pairs = near_pictures(hashes, known, keys, parts, near)
    even = known & flat(hashes, near)
    counts["near_duplicates"] = {
        "rows": len(np.unique(pairs[0])),
        "within": near,
        "compared": int((tested & known & ~even).sum()),
        "flat": int((tested & even).sum()),
        "varied_bits": varied_bits(hashes[known]),
        "without_hash": int((tested & present & ~known).sum()),
    }
    return counts, chain(rows, listed(IMAGE, *pairs))
