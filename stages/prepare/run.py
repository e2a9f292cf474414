"""Runs the stage `prepare`: a source's rows are checked, counted and written as a manifest, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.contract import Progress, Tracker
from stages.errors import InputError
from stages.items import Item, write_manifest
from stages.prepare.checks import checker
from stages.prepare.ordered import map_in_order
from stages.prepare.params import PrepareParams
from stages.prepare.rejects import RejectsFile
from stages.prepare.sources.catalog import open_source
from stages.prepare.sources.protocol import Folders, Reject, Skip, Source
from stages.prepare.summary import PrepareSummary, Tally
from stages.prepare.workspace import replacing


@dataclass(frozen=True)
class PrepareOutputs:
    """Where the outputs go.

    Attributes
    ----------
    folder : Path
        Gets `manifest.parquet`, `rejects.csv`, `summary.json` and, for scenes, `images/`.
    """

    folder: Path


def run(params: PrepareParams, outputs: PrepareOutputs, progress: Progress) -> PrepareSummary:
    """Make the manifest of a data set.

    Parameters
    ----------
    params : PrepareParams
        The source, and how much of it may be rejected.
    outputs : PrepareOutputs
        The folder to make; one that exists is replaced when the run succeeds, and only then.
    progress : Progress
        Draws one bar over the rows.

    Returns
    -------
    PrepareSummary
        The counts, as written to `summary.json`.

    Raises
    ------
    InputError
        When the source is wrong, or too many of its rows are.
    """
    with replacing(outputs.folder) as workspace:
        source = open_source(params, Folders(workspace, outputs.folder))
        tally = Tally(source.info)
        with RejectsFile(workspace / "rejects.csv") as rejects, progress.track("prepare", source.expected) as bar:
            rows = _accepted(source, tally, rejects, bar)
            write_manifest(workspace / "manifest.parquet", source.info, rows)
        tally.refuse_too_many_rejects(params.max_reject_share)
        summary = tally.summary(source.notes)
        (workspace / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    return summary


def _accepted(source: Source, tally: Tally, rejects: RejectsFile, bar: Tracker) -> Iterator[tuple[Item, bytes | None]]:
    """Check the rows of a source in order, and yield those that the manifest gets."""
    known: set[str] = set()
    for result in map_in_order(checker(source.images), source.items()):
        bar.advance()
        if isinstance(result, Reject):
            tally.reject(result)
            rejects.add(result)
        elif isinstance(result, Skip):
            tally.skip(result)
        else:
            _refuse_known(result.item, known)
            tally.keep(result)
            yield result.item, result.image_key


def _refuse_known(item: Item, known: set[str]) -> None:
    """Stop at an id that an earlier item has: every later stage aligns by ids."""
    if item.id in known:
        raise InputError(
            f"{item.where}: expected distinct ids, found the id {item.id!r} of an earlier item again; rename one"
        )
    known.add(item.id)
