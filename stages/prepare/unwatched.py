"""Keeps size and time stamp of what `prepare` reads where DVC does not watch, and finds by them what changed since.

DVC watches what `prepare.path` names. Pictures and files elsewhere would take too long to hash before every run, so
`diptych plan` looks at them, as git looks at a working tree. The notes stay on this machine: another has other stamps.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.contract import Progress, SilentProgress
from stages.prepare.checks import Row
from stages.prepare.parallel import map_in_order
from stages.prepare.params import PrepareParams
from store.files.publish import put_in_place, temporary_output
from store.files.reading import file_digest
from store.items.records import Item

_VERSION = 1
_ABOUT = b"diptych"
_SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64())])
_ROWS = 8192
_MANY = 100_000  # files, which take about a second
_KEPT = 5  # notes, of as many manifests: whoever goes back to one of them finds its own

Stamp = tuple[int | None, int | None]
"""Size and time of the last change in nanoseconds; None in both where there is no file."""


@dataclass(frozen=True)
class Changes:
    """What became of the files of some notes.

    Attributes
    ----------
    files : int
        How many were looked at; one that several items share may count again.
    changed : int
        Those of another size or time stamp; among them `removed`, and files that were not there before.
    removed : int
        Those that are gone.
    first : str
        One of them, "" where there is none.
    """

    files: int
    changed: int = 0
    removed: int = 0
    first: str = ""


class Notebook:
    """Takes notes while the source is read: each file before it is opened, so that no later change is missed.

    Parameters
    ----------
    watched : Path
        What DVC watches: it and all below it need no notes.
    images : Path
        The folder of the pictures.
    writer : ParquetWriter or None
        Gets the notes; without one nothing is noted.
    """

    def __init__(self, watched: Path, images: Path, writer: pq.ParquetWriter | None) -> None:
        self._watched, self._images = os.path.realpath(watched), os.path.realpath(images)
        self._shown = str(images)
        # DVC reads behind a link to a file, and enters no link to a folder.
        self._followed = lru_cache(1024)(lambda folder: os.path.realpath(f"{self._images}/{folder}"))
        self._writer = writer
        self._notes: list[tuple[str, Stamp]] = []
        self._last = ""

    def files(self, paths: Iterable[Path]) -> None:
        """Note lists, annotations and the like."""
        if self._writer is not None:
            for path in paths:
                self._note(os.path.realpath(path), str(path))

    def pictures(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Note the pictures of rows as they pass, those that are missing or unreadable too."""
        for row in rows:
            if self._writer is not None and isinstance(row, Item) and row.image and _may_be_followed(row.image):
                folder, _, name = row.image.rpartition("/")
                self._note(f"{self._followed(folder)}/{name}", f"{self._shown}/{row.image}")
            yield row

    def flush(self) -> None:
        """Write what has been noted."""
        if self._writer is not None and self._notes:
            columns = [[path, *stamp] for path, stamp in self._notes]
            self._writer.write_table(pa.table([list(each) for each in zip(*columns, strict=True)], schema=_SCHEMA))
        self._notes.clear()

    def _note(self, real: str, shown: str) -> None:
        if real in (self._last, self._watched) or real.startswith(f"{self._watched}{os.sep}"):
            return
        self._last = real  # captions of one picture follow each other
        self._notes.append((shown, stamp_of(shown)))
        if len(self._notes) == _ROWS:
            self.flush()


@contextmanager
def taking_notes(folder: Path | None, params: PrepareParams, images: Path, manifest: Path) -> Iterator[Notebook]:
    """Yield a notebook, and keep it under the digest of `manifest` when the block ends without an error.

    Parameters
    ----------
    folder : Path or None
        Where notes are kept; None takes none.
    params : PrepareParams
        Say what DVC watches.
    images : Path
        The folder of the pictures.
    manifest : Path
        The file that the block writes.
    """
    if folder is None or images.is_relative_to(manifest.parent):  # the source makes them: they are an output
        yield Notebook(Path(params.path), images, None)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_output(folder / "notes") as temporary:
        with pq.ParquetWriter(temporary, _SCHEMA.with_metadata({_ABOUT: about(params)}), compression="zstd") as writer:
            notebook = Notebook(Path(params.path), images, writer)
            yield notebook
            notebook.flush()
        put_in_place(temporary, folder / f"{file_digest(manifest)}.parquet")
        for old in _newest_first(folder)[_KEPT:]:
            old.unlink(missing_ok=True)


def notes_of(folder: Path, manifest: Path) -> Path | None:
    """Return the notes that were taken when a manifest was made on this machine; None when it was made elsewhere."""
    notes = folder / f"{file_digest(manifest)}.parquet"
    return notes if notes.is_file() else None


def last_notes(folder: Path, params: PrepareParams) -> Path | None:
    """Return the newest notes of the same data set; None when there are none."""
    wanted = about(params)
    for notes in _newest_first(folder):
        with pq.ParquetFile(notes) as file:
            if (file.schema_arrow.metadata or {}).get(_ABOUT) == wanted:
                return notes
    return None


def compare(notes: Path, progress: Progress) -> Changes:
    """Look at every file of some notes: only at what its folder says of it, nothing is read."""
    with pq.ParquetFile(notes) as file:
        total = file.metadata.num_rows
        batches = (batch.to_pydict() for batch in file.iter_batches(_ROWS))
        found: dict[str, bool] = {}
        shown = progress if total >= _MANY else SilentProgress()
        with shown.track("looking at files that DVC does not watch", total) as bar:
            for looked, differing in map_in_order(_differing, batches):
                found.update(differing)
                bar.advance(looked)
    return Changes(total, len(found), sum(found.values()), next(iter(found), ""))


def stamp_of(path: str) -> Stamp:
    """Return size and time stamp of a file; None in both where it cannot be found."""
    try:
        found = os.stat(path)  # noqa: PTH116 (a million times, and a Path takes as long as the call)
    except (OSError, ValueError):
        return None, None
    return found.st_size, found.st_mtime_ns


def about(params: PrepareParams) -> bytes:
    """Return in one line which data set was read, and where."""
    images = None if params.table is None else params.table.images
    asked = {"source": params.source, "path": params.path, "root": params.root, "images": images}
    return json.dumps({"version": _VERSION, **asked}, sort_keys=True).encode()


def _differing(batch: dict[str, Sequence[Any]]) -> tuple[int, dict[str, bool]]:
    """Return how many files there are in a batch, and of each that changed whether it is gone."""
    rows = zip(batch["path"], batch["size"], batch["mtime_ns"], strict=True)
    now = ((path, stamp_of(path), (size, mtime)) for path, size, mtime in rows)
    return len(batch["path"]), {path: here[0] is None for path, here, before in now if here != before}


def _may_be_followed(image: str) -> bool:
    """Tell whether a picture's path is one that `checks` may open, as far as its letters tell."""
    if image.startswith(("/", "~")) or "\\" in image or "\0" in image or ".." in image.split("/"):
        return False
    try:
        image.encode()
    except UnicodeEncodeError:
        return False
    return True


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
