"""Tells of files that `prepare` read where DVC does not watch and that changed since; `plan` and `prepare` ask."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from stages.contract import Progress
from stages.items import Manifest
from stages.outputs import read_small_json
from stages.prepare.params import PrepareParams
from stages.prepare.unwatched import Changes, compare, last_notes, notes_of
from store.backend import printable

_SUMMARY = paths.PREPARE / "summary.json"


def changed_since_manifest(params: PrepareParams, progress: Progress) -> Changes | None:
    """Compare all that the present manifest was made from; None where this machine has no notes of it."""
    notes = notes_of(paths.UNWATCHED, paths.MANIFEST)
    if notes is not None:
        return compare(notes, progress)
    return None if _has_pictures_elsewhere(params) else Changes(0)


def changed_since_last_time(params: PrepareParams, progress: Progress) -> Changes:
    """Compare all that `prepare` read when it last read this data set here, whatever became of its manifest."""
    notes = last_notes(paths.UNWATCHED, params)
    return Changes(0) if notes is None else compare(notes, progress)


def told(changes: Changes) -> str:
    """Say how many files changed, of how many, and which is the first."""
    gone = f", {changes.removed:,} of them gone" if changes.removed else ""
    return f"{changes.changed:,} of {changes.files:,} files{gone} (first: {printable(changes.first)})"


def _has_pictures_elsewhere(params: PrepareParams) -> bool:
    """Tell whether the manifest has pictures, as far as `summary.json` knows, and DVC does not watch their folder."""
    summary = read_small_json(_SUMMARY)
    try:
        pictures = summary["kept"] > summary["missing"]["image"]
    except (KeyError, TypeError):
        return False
    watched = (Path(params.path).resolve(), paths.PREPARE.resolve())
    root = Path(Manifest.open(paths.MANIFEST).info.root).resolve()
    return pictures and not any(root.is_relative_to(each) for each in watched)
