"""The source `webvision`, 1.0 or 2.0: texts joined to pictures by id; docs/systems/sources.md#webvision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stages.prepare.params import PrepareParams
from stages.prepare.sources.mistakes import Mistakes
from stages.prepare.sources.protocol import Folders, Reject, Skip
from stages.prepare.sources.published.webvision.layout import ORIGINS, find_layout
from stages.prepare.sources.published.webvision.lists import Row, digest, read_rows, read_synsets, survey
from stages.prepare.sources.published.webvision.metadata import (
    Entry,
    MetadataIndex,
    beside,
    open_index,
    read_entry_beside,
)
from store.errors import InputError
from store.items.records import Item, ManifestInfo

_NOTHING = Entry(None, None, None, None)
_TWICE = "listed twice under one synset"
_OTHER_ORIGIN = "of another origin"


class WebvisionSource:
    """Reads the lists twice: once to find every mistake and the pictures listed twice, once to yield the rows.

    An item is a picture under one synset: a picture that stands under several is an item in each, of one group. What
    repeats a picture under the same synset is skipped.

    Parameters
    ----------
    params : PrepareParams
        `folder` is the data set, `webvision` says how much of it is read.
    folders : Folders
        The index of the metadata is kept in `cache`; without one it lies in the workspace until the rows are read.

    Raises
    ------
    InputError
        When lists or metadata are wrong.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:
        self._params = params.webvision
        self._limit = params.limit
        self._layout = find_layout(params.folder, params.webvision)
        self._synsets = read_synsets(self._layout)
        self._classes = min(params.webvision.class_limit or len(self._synsets), len(self._synsets))
        self._survey = survey(self._layout, self._synsets, self._classes)
        self._metadata = tuple(self._layout.metadata_files())
        self._keep, self._index_folder = folders.cache is not None, folders.cache or folders.workspace
        self._told = [*self._counts(), *self._metadata_counts()]
        self._surprises = Counter[str]()
        self.images = params.folder
        self.info = ManifestInfo(
            source="webvision",
            root=str(params.folder),
            task="multiclass",
            classes=tuple(synset.name for synset in self._synsets[: self._classes]),
            fields=("title", "description"),
            meta=("source", "tags"),
        )

    @property
    def files(self) -> Iterator[Path]:
        """The lists, the metadata, and where each picture has its own file, all of these."""
        layout = self._layout
        yield from (layout.order, layout.names, layout.queries)
        for each in layout.lists:
            yield from (each.path, *([each.entries] if each.entries else ()))
        yield from (file.path for file in self._metadata)
        if layout.kind == "per_image":
            rows = read_rows(layout, self._synsets, Mistakes())
            yield from (layout.root / beside(row.image) for row in rows)

    @property
    def expected(self) -> int | None:
        """How many rows `items` will yield, None where the metadata decide or a limit stands among repeated rows."""
        found = np.concatenate([self._survey.per_class, self._survey.official])
        kept = int(np.minimum(found, self._params.per_class_limit or found.max(initial=0)).sum())
        again = self._survey.listed - int(found.sum())
        if set(self._params.origins) != set(ORIGINS) or (self._limit is not None and again):
            return None
        return min(kept + again, self._limit or kept + again)

    @property
    def notes(self) -> tuple[str, ...]:
        """The counts of the data set, and after the rows have been read what was missing from the metadata."""
        return (*self._told, *(f"{count} {what}" for what, count in sorted(self._surprises.items())))

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the rows in the order of the lists; the metadata of each are looked up by the stem of its file."""
        self._surprises.clear()
        path = open_index(self._metadata, self._index_folder) if self._metadata else None
        index = None if path is None else MetadataIndex(path)
        counted = 0
        try:
            for result in self._results(index):
                yield result
                counted += not isinstance(result, Skip)
                if counted == self._limit:
                    return
        finally:
            if index is not None:
                index.close()
            if path is not None and not self._keep:
                path.unlink()

    def _results(self, index: MetadataIndex | None) -> Iterator[Item | Reject | Skip]:
        classes, most = len(self._synsets), self._params.per_class_limit
        taken = np.zeros(2 * classes, np.int64)
        seen: set[str] = set()
        for row in read_rows(self._layout, self._synsets, Mistakes()):
            if row.label >= self._classes:
                continue
            place = row.label + classes * row.official
            if digest(row, classes) in self._survey.repeated:
                if (name := f"{place}/{row.stem}") in seen:
                    yield Skip(_TWICE)
                    continue
                seen.add(name)
            if most is None or taken[place] < most:
                result = self._result(row, index)
                taken[place] += not isinstance(result, Skip)
                yield result

    def _result(self, row: Row, index: MetadataIndex | None) -> Item | Reject | Skip:
        wnid, name = self._synsets[row.label]
        identity = f"{'val' if row.official else wnid}/{row.stem}"
        try:
            entry = _NOTHING if row.official else self._entry(row, index)
        except InputError as error:
            return Reject(identity, row.where, "bad-record", str(error))
        origin = "validation" if row.official else row.origin or entry.origin
        if origin not in (*self._params.origins, "validation") and not self._takes_unknown(origin):
            return Skip(_OTHER_ORIGIN)
        return Item(
            id=identity,
            image=row.image,
            texts={"title": entry.title, "description": entry.description},
            labels=(name,),
            target=None,
            group=f"val/{row.stem}" if row.official else row.stem,
            part=("test" if row.official else "train") if self._params.official_val else None,
            meta={"source": origin, "tags": entry.tags},
            where=row.where,
        )

    def _takes_unknown(self, origin: str | None) -> bool:
        return origin is None and set(self._params.origins) == set(ORIGINS)

    def _entry(self, row: Row, index: MetadataIndex | None) -> Entry:
        if self._layout.kind == "per_image":
            entry = read_entry_beside(self._layout.root, row.image)
        else:
            entry = None if index is None else self._indexed(row, index)
        self._surprises["rows without metadata"] += entry is None
        return entry or _NOTHING

    def _indexed(self, row: Row, index: MetadataIndex) -> Entry | None:
        """Take the entry that a list of metadata names, if it is of this picture; any of the picture's id otherwise."""
        if row.entry is not None:
            found = index.by_place(row.entry)
            if found is not None and found.id == row.stem:
                return found.entry
            self._surprises["rows whose line in the list of metadata names no entry of theirs"] += 1
        return index.by_id(row.stem, row.origin)

    def _counts(self) -> Iterator[str]:
        found = self._survey
        yield f"layout {self._layout.kind}: {found.rows} rows listed, {len(self._synsets)} synsets"
        if self._classes < len(self._synsets):
            yield f"the first {self._classes} synsets are the classes: {found.listed} rows"
        if self._params.official_val:
            yield f"{int(found.official.sum())} rows of the official validation list are declared test"
        if found.misplaced:
            yield f"{found.misplaced} rows lie in the folder of a query of another class by queries_synsets_map.txt"

    def _metadata_counts(self) -> Iterator[str]:
        if not self._metadata:
            if self._layout.kind != "per_image":
                yield "no metadata: neither google nor flickr has JSON files"
            return
        index = MetadataIndex(open_index(self._metadata, self._index_folder))
        nameless = index.without_id()
        yield f"{index.entries} entries of metadata in {index.files} files" + f", {nameless} without id" * bool(
            nameless
        )
        index.close()
