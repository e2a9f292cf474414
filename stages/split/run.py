"""Runs the stage `split`: reads ids and groups of the manifest, writes each item's part, and reports leaks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract import PARTS, Progress
from stages.split.leaks import MOST, Leak, equal_content, flat, listed, near_pictures, varied_bits, write_leaks
from stages.split.params import SplitParams
from stages.split.partition import GALLERY, QUERY, Cut, named
from stages.split.protocols import cut, declares, untrained_classes
from store.files.outputs import write_text
from store.items.manifest import Manifest
from store.items.records import IMAGE
from store.items.split import write_split


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


def run(params: SplitParams, manifest: Path, output: Path, progress: Progress) -> dict[str, Any]:
    """Cut a data set into train, dev and test.

    Parameters
    ----------
    params : SplitParams
        The protocol and its options; of those only `dev` and `seed` count where a declared split is honoured.
    manifest : Path
        What `prepare` wrote.
    output : Path
        The Parquet file to make; `summary.json` and `leaks.csv` are written beside it.
    progress : Progress
        Draws one bar over the rows.

    Returns
    -------
    dict
        `protocol`, `declared` (bool: whether a split of the data's own was honoured); `rows`, `groups` and `labelled`
        per part; `roles` where the protocol gives some; `untrained_classes`, those without a train row, counted and
        named; what the protocol counts; `notes`; and what `find_leaks` counts. The same is kept in the
        metadata of the file.

    Raises
    ------
    InputError
        When there is no manifest, the data has not what the protocol needs, or a declared split is incomplete.
    """
    opened = Manifest.open(manifest)
    ids = opened.ids()
    with progress.track("split", len(ids)) as bar:
        made = cut(opened, params)
        leaks, found = find_leaks(opened, made.parts, params.near)
        summary = {
            "protocol": params.protocol,
            "declared": declares(opened, params),
            **_counts(opened, made),
            **made.counts,
            "notes": list(made.notes),
            **leaks,
        }
        write_leaks(output.with_name("leaks.csv"), ids, found)
        write_text(output.with_name("summary.json"), json.dumps(summary, indent=2) + "\n")
        write_split(output, ids, made.parts, summary, made.roles)
        bar.advance(len(ids))
    return summary


def _counts(manifest: Manifest, made: Cut) -> dict[str, Any]:
    known = manifest.labelled()
    rows = Counter(made.parts)
    labelled = Counter(part for part, has in zip(made.parts, known, strict=True) if has)
    distinct = Counter(part for part, _ in set(zip(made.parts, manifest.groups(), strict=True)))
    counts = {"rows": rows, "groups": distinct, "labelled": labelled}
    told: dict[str, Any] = {name: {part: count[part] for part in PARTS} for name, count in counts.items()}
    if made.roles is not None:
        roles = Counter(made.roles)
        told["roles"] = {role: roles[role] for role in (QUERY, GALLERY)}
    if manifest.info.task != "regression":
        told["untrained_classes"] = named(untrained_classes(manifest, made.parts))
    return told
