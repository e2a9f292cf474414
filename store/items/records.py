"""One item and what holds for all of them: the records that sources yield, and the manifest that is written of them.

`manifest` reads it; `prepare` writes it as a stream, and never half.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from store.errors import InputError
from store.files.publish import atomic_output
from store.items.keys import KEY_BYTES, text_key

Task = Literal["multilabel", "multiclass", "regression"]
"""What is asked of an item: some of several classes, one of them, or a number."""
IMAGE = "image"
"""The name under which the picture counts as a field, beside the text fields."""
FORMAT_VERSION = 2
METADATA = b"diptych"
"""Where the metadata of the Parquet schema keeps the `ManifestInfo`."""


@dataclass(frozen=True)
class Item:
    """One record of a data set, as a source yields it.

    Attributes
    ----------
    id : str
        Unique in the data set.
    image : str or None
        Path of the picture relative to the root of the manifest; None where the item has none.
    texts : mapping of str to (str or None)
        The exact text of each field; None where it is missing.
    labels : tuple of str or None
        Class names; None where the item is not labelled, or the task is a regression; empty where it is known to
        bear none of several.
    target : float or None
        The value to predict in a regression.
    group : str
        Items of one group never stand in two parts of a split.
    part : str or None
        train, dev or test, where the data set declares its own split.
    meta : mapping of str to (str or None)
        Columns carried along for people to read.
    where : str
        Where the record was found, such as "posts.csv:12".
    """

    id: str
    image: str | None
    texts: Mapping[str, str | None]
    labels: tuple[str, ...] | None
    target: float | None
    group: str
    part: str | None = None
    meta: Mapping[str, str | None] = field(default_factory=dict)
    where: str = ""


class ManifestRow(NamedTuple):
    """An item with what `prepare` found in its picture; None in both without one.

    Attributes
    ----------
    item : Item
        The record.
    image_key : bytes or None
        The key of the picture's content, 32 bytes.
    dhash : int or None
        The 64-bit difference hash of the picture, where it was taken.
    """

    item: Item
    image_key: bytes | None
    dhash: int | None = None


@dataclass(frozen=True)
class ManifestInfo:
    """What holds for a whole manifest.

    Attributes
    ----------
    source : str
        The name of the source.
    root : str
        The folder below which the image paths are resolved, relative to the root of the project.
    task : Task
        multilabel, multiclass or regression.
    classes : tuple of str
        All classes in their declared order; empty for a regression.
    super_classes : mapping of str to str
        From a class to its super-category; may be empty.
    fields : tuple of str
        The text fields.
    meta : tuple of str
        The columns carried along.
    format_version : int
        The version of the layout of the file.
    """

    source: str
    root: str
    task: Task
    classes: tuple[str, ...]
    super_classes: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    meta: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def to_json(self) -> bytes:
        """Write in one line, the same bytes for the same content."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        for name in ("classes", "fields", "meta"):
            values[name] = tuple(values[name])
        return cls(**values)


_ROWS_AT_ONCE = 4096


def write_manifest(path: Path, info: ManifestInfo, rows: Iterable[ManifestRow | tuple[Item, bytes | None]]) -> int:
    """Write a manifest row group by row group; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make.
    info : ManifestInfo
        What holds for all rows.
    rows : iterable of ManifestRow or (Item, bytes or None)
        Each item with the `image_key` of its picture (32 bytes), None without one, and perhaps with its hash. Consumed
        as a stream.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    InputError
        When an item bears a label that is not among the classes.
    """
    schema = _schema(info)
    written = 0
    with atomic_output(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pydict(_columns(info, batch), schema=schema))
            written += len(batch)
    return written


def _batches(rows: Iterable[ManifestRow | tuple[Item, bytes | None]]) -> Iterator[list[ManifestRow]]:
    remaining = (ManifestRow(*row) for row in rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        yield batch


def _schema(info: ManifestInfo) -> pa.Schema:
    columns = [("id", pa.string()), (IMAGE, pa.string()), (f"key.{IMAGE}", pa.binary(KEY_BYTES))]
    columns.append(("dhash", pa.uint64()))
    for name in info.fields:
        columns += [(f"text.{name}", pa.string()), (f"key.{name}", pa.binary(KEY_BYTES))]
    columns += [("labels", pa.list_(pa.string())), ("target", pa.float64()), ("group", pa.string())]
    columns += [("part", pa.string()), *((f"meta.{name}", pa.string()) for name in info.meta)]
    return pa.schema(columns, metadata={METADATA: info.to_json()})


def _columns(info: ManifestInfo, batch: Sequence[ManifestRow]) -> dict[str, list[Any]]:
    items = [row.item for row in batch]
    _refuse_unknown_labels(info, items)
    columns: dict[str, list[Any]] = {
        name: [getattr(item, name) for item in items] for name in ("id", IMAGE, "target", "group", "part")
    }
    columns["labels"] = [None if item.labels is None else list(item.labels) for item in items]
    columns[f"key.{IMAGE}"] = [row.image_key for row in batch]
    columns["dhash"] = [row.dhash for row in batch]
    for name in info.fields:
        texts = [item.texts.get(name) for item in items]
        columns[f"text.{name}"] = texts
        columns[f"key.{name}"] = [None if text is None else text_key(text) for text in texts]
    columns |= {f"meta.{name}": [item.meta.get(name) for item in items] for name in info.meta}
    return columns


def _refuse_unknown_labels(info: ManifestInfo, items: Sequence[Item]) -> None:
    known = set(info.classes)
    for item in items:
        unknown = [label for label in item.labels or () if label not in known]
        if unknown:
            raise InputError(
                f"{item.where}: expected labels among the {len(known)} declared classes, found {unknown[0]!r}; "
                "declare the class or mend the label"
            )
