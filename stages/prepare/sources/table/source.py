"""The source `table`: somebody's own CSV, JSONL or Parquet table; `formats` reads it, `check` vets it first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from stages.prepare.params import PrepareParams
from stages.prepare.sources.protocol import Folders, Reject, Skip
from stages.prepare.sources.table.cells import TableRow, labels_of, number_of, plain, without_blanks
from stages.prepare.sources.table.check import PART_NAMES, TableCheck, wanted_columns
from stages.prepare.sources.table.formats import ENDINGS, ClassNames, open_table
from stages.prepare.sources.table.params import TableParams
from stages.prepare.sources.text_files import is_data
from store.errors import InputError
from store.files.reading import resolve_below
from store.items.records import Item, ManifestInfo, Task


class TableSource:
    """Reads a table twice: once to find every mistake that must stop the run, once to yield its rows.

    Parameters
    ----------
    params : PrepareParams
        `path` names the table or its folder, `table` its columns.
    folders : Folders
        Not used: a table brings its own pictures.

    Raises
    ------
    InputError
        With the mistakes of the first pass, or where there is no table or no folder of pictures.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._table = params.table or TableParams.model_validate({})
        path = _find_table(Path(params.path), self._table)
        self._name = path.name
        self.files = (path,)
        self._limit = params.limit
        self._wanted = frozenset(wanted_columns(self._table))
        self._blank = frozenset(self._table.blank)
        self._file = open_table(path, self._table.encoding, self._table.delimiter, self._table.quoting)
        self._names = ClassNames(self._table, self._file.class_names(self._table.label or self._table.labels or ""))
        check = TableCheck(self._table, self._name, self._names.places)
        check.run(self._file.columns(), self._rows())
        self.expected = check.count
        self.images = _images_folder(path, self._table)
        self._classes = frozenset(check.classes)
        self._dropped = check.dropped
        self._noted = check.notes
        self._alone = self._absent = 0
        self.info = ManifestInfo(
            source="table",
            root=str(self.images),
            task=_task(self._table),
            classes=check.classes,
            fields=tuple(self._table.fields),
            meta=self._table.meta,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know; complete when the rows have been yielded."""
        told = [] if self._table.id else ["the table names no column of ids: the numbers of the rows are the ids"]
        if self._dropped:
            told.append(
                f"min_count dropped {self._dropped} classes of fewer than {self._table.min_count} rows; "
                f"{self._alone} rows have none of the {len(self._classes)} others and count as unlabelled"
            )
        if self._absent:
            told.append(f"{self._absent} pictures of column {self._table.image!r} are not there: their rows go without")
        if named := self._names.told():
            told.append(named)
        return (*told, *self._noted)

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the rows; those that no item can be made of as rejects."""
        for number, row in enumerate(self._rows(), start=1):
            if row.blank:
                yield Skip("row of blank cells")
            elif row.fault:
                yield Reject("", f"{self._name}:{row.line}", "bad-record", row.fault)
            else:
                yield self._item(number, row)

    def _rows(self) -> Iterator[TableRow]:
        rows = islice(self._file.rows(self._wanted), self._limit)
        return (self._names.applied(without_blanks(row, self._blank)) for row in rows)

    def _item(self, number: int, row: TableRow) -> Item | Reject:
        where = f"{self._name}:{row.line}"
        identity = (plain(row.cells.get(self._table.id)) if self._table.id else None) or str(number)
        target = None
        if self._table.target is not None:
            try:
                target = number_of(row.cells.get(self._table.target), self._table.thousands, self._table.decimal)
            except ValueError as error:
                return Reject(identity, where, "bad-target", str(error))
        part = self._cell(row, self._table.split)
        texts = {name: self._cell(row, column) for name, column in self._table.fields.items()}
        return Item(
            id=identity,
            image=self._image(row),
            texts=texts,
            labels=None if self._table.target is not None else self._labels(row),
            target=target,
            group=self._cell(row, self._table.group) or identity,
            part=None if part is None else PART_NAMES[part.strip().lower()],
            meta={name: self._cell(row, name) for name in self._table.meta},
            where=where,
        )

    def _labels(self, row: TableRow) -> tuple[str, ...] | None:
        """Return the classes of a row that are frequent enough."""
        found = labels_of(self._table, row.cells)
        if not found or not self._dropped:
            return found
        kept = tuple(label for label in found if label in self._classes)
        self._alone += not kept
        return kept or None

    def _image(self, row: TableRow) -> str | None:
        image = self._cell(row, self._table.image)
        if image is None:
            return None
        image += self._table.suffix
        if self._table.absent == "blank" and _is_absent(self.images, image):
            self._absent += 1
            return None
        return image

    def _cell(self, row: TableRow, column: str | None) -> str | None:
        """Return the exact text of a cell, None where it is blank or the column is not named."""
        return None if column is None else plain(row.cells.get(column))


def _find_table(path: Path, table: TableParams) -> Path:
    """Return the file that the parameters mean."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"expected a table or its folder at {path}, found nothing; mend prepare.path")
    if table.file is not None:
        file = resolve_below(path, table.file)
        if not file.is_file():
            raise InputError(
                f"expected the table {table.file!r} in {path}, found no such file; mend prepare.table.file"
            )
        return path / table.file
    found = sorted(entry.name for entry in path.iterdir() if is_data(entry.name, ENDINGS) and entry.is_file())
    if len(found) != 1:
        raise InputError(
            f"expected exactly one table in {path}, found {', '.join(found) or 'none'}; name it in prepare.table.file"
        )
    return path / found[0]


def _images_folder(path: Path, table: TableParams) -> Path:
    folder = path.parent if table.images is None else Path(table.images)
    if table.image is not None and not folder.is_dir():
        raise InputError(f"expected the folder of the pictures at {folder}, found none; mend prepare.table.images")
    return folder


def _task(table: TableParams) -> Task:
    if table.target is not None:
        return "regression"
    return "multiclass" if table.label is not None else "multilabel"


def _is_absent(images: Path, image: str) -> bool:
    """Tell whether no file is there; a path that may not be followed is for the check of pictures to refuse."""
    try:
        return not resolve_below(images, image).exists()
    except (InputError, OSError):
        return False
