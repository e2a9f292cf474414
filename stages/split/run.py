"""Runs the stage `split`: reads ids and groups of the manifest, writes which part each item stands in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.contract import PARTS, Progress
from stages.items import Manifest
from stages.parts import write_split
from stages.records import IMAGE
from stages.split.cut import GALLERY, QUERY, Cut, named
from stages.split.labels import untrained_classes
from stages.split.leaks import count_leaks
from stages.split.params import SplitParams
from stages.split.protocols import cut, declares


def run(params: SplitParams, manifest: Path, output: Path, progress: Progress) -> dict[str, Any]:
    """Cut a data set into train, dev and test.

    Parameters
    ----------
    params : SplitParams
        The shares and the seed; only `dev` and `seed` count where the data set declares its own split.
    manifest : Path
        What `prepare` wrote.
    output : Path
        The Parquet file to make; `summary.json` is written beside it.
    progress : Progress
        Draws one bar over the rows.

    Returns
    -------
    dict
        `declared` (bool), `rows`, `groups` and `labelled` per part, and `leaks`: per field the test rows whose content
        stands in train or dev as well. The same is kept in the metadata of the file.

    Raises
    ------
    InputError
        When there is no manifest, there are too few groups, or a declared split is incomplete.
    """
    opened = Manifest.open(manifest)
    ids = opened.ids()
    with progress.track("split", len(ids)) as bar:
        made = cut(opened, params)
        summary = {
            "protocol": params.protocol,
            "declared": declares(opened, params),
            **_counts(opened, made),
            **made.counts,
            "notes": list(made.notes),
            "leaks": _leaks(opened, made.parts),
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(output.with_name("summary.json"), json.dumps(summary, indent=2) + "\n")
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


def _leaks(manifest: Manifest, parts: Sequence[str]) -> dict[str, int]:
    return {name: count_leaks(*manifest.keys(name), parts) for name in (IMAGE, *manifest.info.fields)}


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
