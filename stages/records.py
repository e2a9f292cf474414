"""One item and what holds for all of them: the records that sources yield and that the manifest keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, Self

from stages.contract import Task

IMAGE = "image"
"""The name under which the picture counts as a field, beside the text fields."""
KEY_BYTES = 32
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
