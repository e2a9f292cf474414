"""Runs the stage `split`: reads ids and groups of the manifest, writes which part each item stands in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from stages.contract import PARTS, Progress
from stages.items import Manifest
from stages.outputs import write_text
from stages.parts import write_split
from stages.split.cut import GALLERY, QUERY, Cut, named
from stages.split.labels import untrained_classes
from stages.split.leak_report import find_leaks
from stages.split.leaks import write_leaks
from stages.split.params import SplitParams
from stages.split.protocols import cut, declares


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
