"""Runs the stage `prepare`: a source's rows are checked, counted and written as a manifest, all or nothing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from stages.contract import Executor, Progress, Tracker
from stages.models.encoders.image.decoding import allow_pixels
from stages.prepare.checks import Checked, Row, checker
from stages.prepare.parallel import check_apart, map_in_order
from stages.prepare.params import PrepareParams
from stages.prepare.sources.catalog import open_source
from stages.prepare.sources.protocol import Folders, Reject, Skip
from stages.prepare.summary import PrepareSummary, Tally
from stages.prepare.unwatched import taking_notes
from store.errors import InputError
from store.files.outputs import fresh_folder, safe_cell
from store.items.records import Item, ManifestInfo, ManifestRow, write_manifest


class RejectsFile:
    """A CSV file of `id, where, reason, detail`, open while rows are being checked.

    Parameters
    ----------
    path : Path
        The file to make.
    """

    def __init__(self, path: Path) -> None:
        # backslashreplace: an id may hold half of a surrogate pair, and its row must still be told of
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(Reject._fields)

    def add(self, reject: Reject) -> None:
        """Write one row."""
        self._writer.writerow([safe_cell(cell) for cell in reject])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True)
class PrepareOutputs:
    """Where the outputs go.

    Attributes
    ----------
    folder : Path
        Gets `manifest.parquet`, `rejects.csv`, `summary.json` and, for scenes, `images/`.
    cache : Path or None
        Keeps what a source can make again at any time; see `Folders`.
    unwatched : Path or None
        Keeps notes of what was read where DVC does not watch; see `unwatched`.
    """

    folder: Path
    cache: Path | None = None
    unwatched: Path | None = None


class Watcher(Protocol):
    """Who looks on while rows are checked; `preview` does."""

    def opened(self, info: ManifestInfo) -> None:
        """Learn what holds for all items, before the first."""

    def see(self, row: Checked | Reject | Skip) -> None:
        """See one row that has been checked."""


class Unwatched:
    """The null object: looks at nothing."""

    def opened(self, info: ManifestInfo) -> None:
        """Do nothing."""

    def see(self, row: Checked | Reject | Skip) -> None:
        """Do nothing."""


def run(
    params: PrepareParams,
    outputs: PrepareOutputs,
    progress: Progress,
    watcher: Watcher | None = None,
    executor: Executor | None = None,
) -> PrepareSummary:
    """Make the manifest of a data set.

    Parameters
    ----------
    params : PrepareParams
        The source, and how much of it may be rejected.
    outputs : PrepareOutputs
        The folder to make; one that exists is replaced when the run succeeds, and only then.
    progress : Progress
        Draws one bar over the rows.
    watcher : Watcher, optional
        Is shown every row that has been checked.
    executor : Executor, optional
        Whose workers look at the pictures, when they are apart from this process; without them some threads do.

    Returns
    -------
    PrepareSummary
        The counts, as written to `summary.json`.

    Raises
    ------
    InputError
        When the source is wrong, or too many of its rows are.
    """
    allow_pixels(params.max_pixels)
    with fresh_folder(outputs.folder) as workspace:
        source = open_source(params, Folders(workspace, outputs.folder, outputs.cache))
        tally = Tally(source.info)
        looker = watcher or Unwatched()
        looker.opened(source.info)
        manifest = workspace / "manifest.parquet"
        with (
            taking_notes(outputs.unwatched, params, source.images, manifest) as notes,
            RejectsFile(workspace / "rejects.csv") as rejects,
            progress.track("prepare", source.expected) as bar,
        ):
            notes.files(source.files)
            checked = _check(source.images, notes.pictures(source.items()), executor)
            write_manifest(manifest, source.info, _accepted(checked, _Books(tally, rejects, looker), bar))
            tally.refuse_too_many_rejects(params.max_reject_share)
        summary = tally.summary(source.notes)
        (workspace / "summary.json").write_text(summary.to_json(), encoding="utf-8")
        if (ignored := outputs.folder / ".gitignore").is_file():  # not ours: DVC lists there what git shall pass over
            shutil.copy2(ignored, workspace)
    return summary


@dataclass(frozen=True)
class _Books:
    """Where every row is entered."""

    tally: Tally
    rejects: RejectsFile
    watcher: Watcher


def _check(images: Path, rows: Iterator[Row], executor: Executor | None) -> Iterator[Checked | Reject | Skip]:
    """Check rows, with pictures below `images`, in order."""
    if executor is not None and executor.apart:
        return check_apart(executor, images, rows)
    return map_in_order(checker(images), rows)


def _accepted(results: Iterator[Checked | Reject | Skip], books: _Books, bar: Tracker) -> Iterator[ManifestRow]:
    """Enter the rows that were checked, and yield those that the manifest gets."""
    known: set[str] = set()
    for result in results:
        bar.advance()
        books.watcher.see(result)
        if isinstance(result, Reject):
            books.tally.reject(result)
            books.rejects.add(result)
        elif isinstance(result, Skip):
            books.tally.skip(result)
        else:
            _refuse_known(result.item, known)
            books.tally.keep(result)
            yield ManifestRow(result.item, result.image_key, result.dhash)


def _refuse_known(item: Item, known: set[str]) -> None:
    """Stop at an id that an earlier item has: every later stage aligns by ids."""
    if item.id in known:
        raise InputError(
            f"{item.where}: expected distinct ids, found the id {item.id!r} of an earlier item again; rename one"
        )
    known.add(item.id)
