"""Runs the stage `split`: reads ids and groups of the manifest, writes which part each item stands in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from stages.contract import PARTS, Progress
from stages.items import Manifest
from stages.parts import write_split
from stages.records import IMAGE
from stages.split.declared import honour
from stages.split.leaks import count_leaks
from stages.split.params import SplitParams
from stages.split.partition import hold_out


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
    ids, groups, declared = opened.ids(), opened.groups(), opened.parts()
    with progress.track("split", len(ids)) as bar:
        honoured = any(part is not None for part in declared)
        parts: list[str] = (
            honour(ids, groups, declared, params.dev, params.seed)
            if honoured
            else [*hold_out(groups, params.test, params.dev, params.seed)]
        )
        summary = {"declared": honoured, **_counts(opened, groups, parts), "leaks": _leaks(opened, parts)}
        output.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(output.with_name("summary.json"), json.dumps(summary, indent=2) + "\n")
        write_split(output, ids, parts, summary)
        bar.advance(len(ids))
    return summary


def _counts(manifest: Manifest, groups: list[str], parts: list[str]) -> dict[str, dict[str, int]]:
    rows = Counter(parts)
    labelled = Counter(part for part, known in zip(parts, manifest.labelled(), strict=True) if known)
    distinct = Counter(part for part, _ in set(zip(parts, groups, strict=True)))
    counts = {"rows": rows, "groups": distinct, "labelled": labelled}
    return {name: {part: count[part] for part in PARTS} for name, count in counts.items()}


def _leaks(manifest: Manifest, parts: list[str]) -> dict[str, int]:
    return {name: count_leaks(*manifest.keys(name), parts) for name in (IMAGE, *manifest.info.fields)}


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
