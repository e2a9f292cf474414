"""The source `mmfrb`: products as JSON lines, each with a category; docs/systems/sources.md#mmfrb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from stages.prepare.params import PrepareParams
from stages.prepare.sources.json_files import identity, is_writable, text
from stages.prepare.sources.protocol import Folders, Reject
from stages.prepare.sources.text_files import is_data, text_lines
from store.errors import InputError
from store.files.reading import resolve_below
from store.items.records import Item, ManifestInfo

_ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_LONGEST_LINE = 1 << 24
_KEPT = ("items", "landmarks")


class _Product(NamedTuple):
    """One line that is right."""

    id: str
    where: str
    image: str | None
    caption: str | None
    category: str | None
    kept: dict[str, str | None]


class MmfrbSource:
    """Reads the lines twice: once for the categories, which are the classes in the order of their names, then the rows.

    A product without a category is kept, unlabelled. Its items and landmarks are carried along as JSON, unused.

    Parameters
    ----------
    params : PrepareParams
        `path` or `root` is the folder of the file, or `path` the file itself; pictures lie relative to that folder.
    folders : Folders
        Not used: the data set brings its own pictures.

    Raises
    ------
    InputError
        When there is no such file, two lines bear one id, or no line has a category.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._path = _find_file(params)
        self.files = (self._path,)
        self._limit = params.limit
        self.images = params.folder if params.folder.is_dir() else self._path.parent
        rows, classes = self._survey()
        self.expected: int | None = min(rows, params.limit or rows)
        self.notes: tuple[str, ...] = ()
        self.info = ManifestInfo(
            source="mmfrb",
            root=str(self.images),
            task="multiclass",
            classes=classes,
            fields=("caption",),
            meta=_KEPT,
        )

    def items(self) -> Iterator[Item | Reject]:
        """Yield the products in the order of the lines."""
        return islice((row if isinstance(row, Reject) else _item(row) for row in self._rows()), self._limit)

    def _survey(self) -> tuple[int, tuple[str, ...]]:
        places: dict[str, str] = {}
        categories: set[str] = set()
        count = 0
        for row in self._rows():
            count += 1
            if isinstance(row, Reject):
                continue
            if row.id in places:
                raise InputError(
                    f"{row.where}: expected distinct ids, found {row.id!r} again, after {places[row.id]}; rename or "
                    "remove one"
                )
            places[row.id] = row.where
            categories.update(() if row.category is None else (row.category,))
        if not categories:
            raise InputError(
                f"{self._path}: expected products with a category, found none in {count} lines; fill in `category`"
            )
        return count, tuple(sorted(categories))

    def _rows(self) -> Iterator[_Product | Reject]:
        for line, written in text_lines(self._path, _LONGEST_LINE):
            if written.strip():
                yield _row(f"{self._path.name}:{line}", written)


def _row(where: str, written: str) -> _Product | Reject:
    try:
        value = json.loads(written)
        product = _product(where, value) if isinstance(value, dict) else type(value).__name__
    except (ValueError, TypeError, RecursionError) as error:  # JSON, a field, or nesting that is wrong
        return Reject("", where, "bad-record", str(error))
    if isinstance(product, str):
        return Reject("", where, "bad-record", f"expected a JSON object, found {product}")
    if not is_writable(product.id, product.image, product.caption, product.category, *product.kept.values()):
        return Reject(product.id, where, "bad-text", "a text holds half of a surrogate pair")
    return product


def _product(where: str, value: dict[str, Any]) -> _Product:
    spelled = identity(value.get("id"))
    if spelled is None:
        raise TypeError(f"expected an id, found {str(value.get('id'))[:40]!r}")
    named = text(identity(value.get("category")) or value.get("category"))
    return _Product(
        id=spelled,
        where=where,
        image=_field(value, "image"),
        caption=_field(value, "caption"),
        category=None if named is None else named.strip(),
        kept={name: _as_json(value.get(name)) for name in _KEPT},
    )


def _field(value: dict[str, Any], name: str) -> str | None:
    try:
        return text(value.get(name))
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _item(product: _Product) -> Item:
    return Item(
        id=product.id,
        image=product.image,
        texts={"caption": product.caption},
        labels=None if product.category is None else (product.category,),
        target=None,
        group=product.id,
        meta=product.kept,
        where=product.where,
    )


def _find_file(params: PrepareParams) -> Path:
    folder, path = params.folder, Path(params.path)
    name = params.mmfrb.file
    if name is not None and folder.is_dir():
        file = resolve_below(folder, name)
        if not file.is_file():
            raise InputError(f"expected the file {name!r} in {folder}, found none; mend prepare.mmfrb.file")
        return file
    if path.is_file():
        return path
    if not folder.is_dir():
        raise InputError(f"expected the folder of a data set at {folder}, found none; mend prepare.path")
    found = sorted(file for file in folder.iterdir() if is_data(file.name, _ENDINGS) and file.is_file())
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(f"expected exactly one JSONL file in {folder}, found {names}; name it in prepare.mmfrb.file")
    return found[0]
