"""Writes a manifest as a stream, never half: `items` offers it to `prepare` and to whoever needs one for a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.errors import InputError
from stages.records import IMAGE, KEY_BYTES, METADATA, Item, ManifestInfo, ManifestRow
from store.key import text_key
from store.publish import atomic_output

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
