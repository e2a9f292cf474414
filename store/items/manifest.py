"""The manifest, one Parquet row per item, as every stage after `prepare` reads it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from store.errors import InputError
from store.items.columns import Columns
from store.items.keys import KEY_BYTES
from store.items.records import FORMAT_VERSION, IMAGE, METADATA, ManifestInfo


@dataclass(frozen=True)
class Manifest:
    """A manifest opened for reading; columns are read when asked for, and row i is item i in every one of them.

    Attributes
    ----------
    path : Path
        The file.
    info : ManifestInfo
        What holds for all rows.
    """

    path: Path
    info: ManifestInfo
    _rows: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file that `prepare` wrote.

        Raises
        ------
        InputError
            When there is no such file, or it is not a manifest of this version.
        """
        try:
            file = pq.ParquetFile(path)
        except FileNotFoundError:
            raise InputError(f"expected a manifest at {path}, found no file; run `diptych prepare`") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"expected a manifest at {path}, found no Parquet ({error}); run `diptych prepare`"
            ) from error
        with file:
            metadata = file.schema_arrow.metadata or {}
            if METADATA not in metadata or json.loads(metadata[METADATA]).get("format_version") != FORMAT_VERSION:
                raise InputError(
                    f"expected a manifest of version {FORMAT_VERSION} at {path}, found another Parquet file; "
                    "run `diptych prepare` again"
                )
            return cls(path, ManifestInfo.from_json(metadata[METADATA]), file.metadata.num_rows)

    def __len__(self) -> int:
        return self._rows

    def ids(self) -> list[str]:
        """Return the N ids in the order of the rows."""
        return cast("list[str]", self._column("id").to_pylist())

    def groups(self) -> list[str]:
        """Return the N groups: items of one group never stand in two parts."""
        return cast("list[str]", self._column("group").to_pylist())

    def parts(self) -> list[str | None]:
        """Return the N declared parts (train, dev, test), None where the data set declares none."""
        return cast("list[str | None]", self._column("part").to_pylist())

    def images(self, rows: np.ndarray | None = None) -> list[str | None]:
        """Return the paths of the pictures relative to `info.root`, of all rows or of the given ones."""
        return self._strings(IMAGE, rows)

    def texts(self, name: str, rows: np.ndarray | None = None) -> list[str | None]:
        """Return the exact texts of a field, of all rows or of the given ones; None where missing.

        Raises
        ------
        InputError
            When there is no such text field.
        """
        _require(name, self.info.fields, "a text field", self.path)
        return self._strings(f"text.{name}", rows)

    def meta(self, name: str) -> list[str | None]:
        """Return a column that was carried along.

        Raises
        ------
        InputError
            When there is no such column.
        """
        _require(name, self.info.meta, "a column of meta", self.path)
        return self._strings(f"meta.{name}", None)

    def keys(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the content keys of "image" or of a text field.

        Returns
        -------
        keys : ndarray of uint8, [N, 32]
            Zero where the input is missing.
        present : ndarray of bool, [N]
            Whether the item has that input.

        Raises
        ------
        InputError
            When there is no such field.
        """
        _require(name, (IMAGE, *self.info.fields), "a field", self.path)
        chunks = self._column(f"key.{name}").chunks
        parts = [_fixed_bytes(chunk) for chunk in chunks]
        present = [chunk.is_valid().to_numpy(zero_copy_only=False) for chunk in chunks]
        if not chunks:
            return np.zeros((0, KEY_BYTES), np.uint8), np.zeros(0, np.bool_)
        return np.concatenate(parts), np.concatenate(present)

    def dhashes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what the pictures look like, as `prepare` hashed them.

        Returns
        -------
        hashes : ndarray of uint64, [N]
            Zero where there is none.
        known : ndarray of bool, [N]
            Whether the item has a picture that was hashed.
        """
        column = self._column("dhash")
        known = column.is_valid().to_numpy()
        return column.fill_null(0).to_numpy().astype(np.uint64, copy=False), known.astype(np.bool_, copy=False)

    def content_digest(self, name: str) -> str:
        """Digest the ordered ids and keys of a field: all of the manifest that an `embed` matrix depends on.

        Returns
        -------
        str
            SHA-256 in hexadecimal.

        Raises
        ------
        InputError
            When there is no such field.
        """
        return contents_digest(self.ids(), *self.keys(name))

    def labels(self, rows: np.ndarray) -> list[tuple[str, ...] | None]:
        """Return the class names of the given rows; None where unlabelled, empty where none of the classes is borne."""
        found = self._columns.chosen("labels", rows)
        return [None if names is None else tuple(names) for names in found]

    def label_matrix(self) -> np.ndarray:
        """Return which classes each item bears: bool [N, K] as `info.classes`, False where unlabelled."""
        column = {name: position for position, name in enumerate(self.info.classes)}
        matrix = np.zeros((len(self), len(column)), np.bool_)
        for row, labels in enumerate(self._column("labels").to_pylist()):
            for label in labels or ():
                matrix[row, column[label]] = True
        return matrix

    def class_index(self) -> np.ndarray:
        """Return the position of each item's class in `info.classes`: int64 [N], -1 where unlabelled.

        Raises
        ------
        InputError
            When the task is not multiclass.
        """
        if self.info.task != "multiclass":
            raise InputError(
                f"expected one class per item, found the task {self.info.task} in {self.path}; use its labels"
            )
        position = {name: at for at, name in enumerate(self.info.classes)}
        rows = self._column("labels").to_pylist()
        return np.array([position[labels[0]] if labels else -1 for labels in rows], dtype=np.int64)

    def targets(self) -> np.ndarray:
        """Return the values to predict: float64 [N], NaN where unlabelled."""
        return np.array(
            [np.nan if value is None else value for value in self._column("target").to_pylist()], np.float64
        )

    def fit_targets(self) -> np.ndarray:
        """Return what models are fitted to.

        multilabel: float32 [N, K]; multiclass: int64 [N], -1 where unlabelled; regression: float32 [N, 1].
        """
        if self.info.task == "multilabel":
            return self.label_matrix().astype(np.float32)
        return self.class_index() if self.info.task == "multiclass" else self.targets().astype(np.float32)[:, None]

    def labelled(self) -> np.ndarray:
        """Return which items bear what the task needs: bool [N]."""
        column = self._column("target" if self.info.task == "regression" else "labels")
        return np.asarray(column.is_valid().to_pylist(), np.bool_)

    def _strings(self, column: str, rows: np.ndarray | None) -> list[str | None]:
        values = self._column(column).to_pylist() if rows is None else self._columns.chosen(column, rows)
        return cast("list[str | None]", values)

    def _column(self, name: str) -> pa.ChunkedArray:
        return self._columns.whole(name)

    @cached_property
    def _columns(self) -> Columns:
        return Columns(self.path)


def contents_digest(ids: list[str], keys: np.ndarray, present: np.ndarray) -> str:
    """Digest ordered ids with the key (uint8 [N, 32]) of each that is present (bool [N]); SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    for row, identity in enumerate(ids):
        encoded = identity.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
        digest.update(b"\1" + keys[row].tobytes() if present[row] else b"\0")
    return digest.hexdigest()


def _fixed_bytes(chunk: pa.FixedSizeBinaryArray) -> np.ndarray:
    """View one chunk of keys as uint8 [n, 32], with zeros for the missing ones."""
    start, size = chunk.offset * KEY_BYTES, len(chunk) * KEY_BYTES
    keys = np.frombuffer(chunk.buffers()[1], np.uint8)[start : start + size].reshape(-1, KEY_BYTES).copy()
    keys[~chunk.is_valid().to_numpy(zero_copy_only=False)] = 0
    return keys


def _require(name: str, known: tuple[str, ...], kind: str, path: Path) -> None:
    if name not in known:
        exist = ", ".join(known) or "none"
        raise InputError(f"expected {kind} of {path}, found {name!r}; those that exist: {exist}")
