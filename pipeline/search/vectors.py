"""From a query to its vectors: hands it to `embed`, `reduce` and `fuse` behind a system's matrices; for `search`.

An item with the same content has the vector already: it is read instead of computed, and is then the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from pipeline.search.system import fields_of
from pipeline.wiring import stated_digest
from stages.embed.new_rows import EmbedNewRow
from stages.models.features.layout import Input
from stages.models.features.opening import open_aligned
from stages.models.features.table import absent_input, read_input
from store import Matrix, image_key, text_key
from store.items.manifest import Manifest
from store.items.records import IMAGE

if TYPE_CHECKING:
    from stages.fuse.new_rows import FuseNewRows
    from stages.reduce.new_rows import ReduceNewRows

    _NewRows = EmbedNewRow | ReduceNewRows | FuseNewRows


@dataclass(frozen=True)
class Query:
    """What is searched for: the bytes of a picture file, and a text by field."""

    image: bytes | None
    texts: Mapping[str, str]

    @property
    def given(self) -> frozenset[str]:
        """The fields that it has."""
        return frozenset(self.texts) | (frozenset() if self.image is None else {IMAGE})

    def key(self, name: str) -> bytes:
        """Return the content key of a given field."""
        return image_key(self.image or b"") if name == IMAGE else text_key(self.texts[name])


@dataclass
class QueryVectors:
    """Makes the vectors of one query, and opens the matrices in whose rows they would stand.

    Attributes
    ----------
    notes : list of str
        What a person should know of how they came to be.
    """

    params: Params
    settings: Settings
    manifest: Manifest
    query: Query
    notes: list[str] = field(default_factory=list)
    _opened: dict[str, _NewRows] = field(default_factory=dict)
    _made: dict[str, Input] = field(default_factory=dict)

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all items, in the order of the manifest."""
        return self.manifest.ids()

    def matrix(self, name: str) -> Matrix:
        """Open the matrix of an entry, of the present manifest and of what the present params name.

        Raises
        ------
        InputError
            When it is not there, or was made from something else.
        """
        return self._of_stage(name).matrix

    def _of_stage(self, name: str) -> _NewRows:
        """Return what the stage of an entry makes new rows with."""
        if name not in self._opened:
            digest = stated_digest(self.params.matrices, name)
            (matrix,) = open_aligned(self.params.matrices.features([name]), self.ids, (digest,))
            self._opened[name] = self._hand_over(name, matrix)
        return self._opened[name]

    def _hand_over(self, name: str, matrix: Matrix) -> _NewRows:
        """Give the stage of an entry its params, its matrices and the folder of what it fitted."""
        params, settings = self.params, self.settings
        if name in params.embed:
            entry = params.embed[name]
            fitted = paths.fitted(entry.fit)
            return EmbedNewRow(entry, self.manifest, matrix, fitted, settings.device, settings.engine)
        sources = [self.matrix(each) for each in self._inputs(name)]
        if name in params.reduce:
            from stages.reduce.new_rows import ReduceNewRows  # scikit-learn, which encoders do without

            return ReduceNewRows(params.reduce[name], sources[0], matrix, paths.model("reduce", name))
        from stages.fuse.new_rows import FuseNewRows

        return FuseNewRows(params.fuse[name], sources, matrix, paths.model("fuse", name), settings.device)

    def of(self, name: str) -> Input:
        """Return the query as one row [1, ...] of an entry of `embed`, `reduce` or `fuse` that holds one of its fields.

        Raises
        ------
        InputError
            When it cannot be encoded, or what encoded the stored rows is not what the params name now.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Input:
        stage = self._of_stage(name)
        if isinstance(stage, EmbedNewRow):
            stage.restore()  # a stored vector too must be one of the encoder that is named
        row = self._same_item(name)
        if row is not None:
            return read_input(stage.matrix, row, stage.matrix.arrays)
        if isinstance(stage, EmbedNewRow):
            made, notes = stage.of(self._raw(name))
            self.notes += [f"{name}: {what.replace('_', ' ')}: {count}" for what, count in notes.items() if count]
            return made
        stage.restore()  # before encoders are loaded in vain
        return stage.of([self._or_absent(each) for each in self._inputs(name)])

    def _or_absent(self, name: str) -> Input:
        if self.query.given.intersection(fields_of(self.params, name)):
            return self.of(name)
        return absent_input(self.matrix(name), 1)

    def _inputs(self, name: str) -> list[str]:
        """Return the entries whose rows `reduce` or `fuse` reads."""
        return self.params.fuse[name].features if name in self.params.fuse else [self.params.reduce[name].features]

    def _raw(self, name: str) -> Any:
        entry, image = self.params.embed[name], self.query.image
        if entry.row.kind == "image":
            return image
        text = self.query.texts[entry.field]
        return (text, image) if entry.row.kind == "pair" else text

    def _same_item(self, name: str) -> NDArray[np.int64] | None:
        """Return the first row [1] whose inputs of a matrix are those of the query; none failed or says nothing."""
        same = np.ones(len(self.ids), np.bool_)
        for each in fields_of(self.params, name):
            keys, present = self.manifest.keys(each)
            if each in self.query.given:
                same &= present & (keys == np.frombuffer(self.query.key(each), np.uint8)).all(axis=1)
            else:
                same &= ~present
        for each in self._embedded(name):
            known = self.query.given.issuperset(fields_of(self.params, each))
            same &= self.matrix(each).usable if known else self.matrix(each).present == self.matrix(each).ok
        if not same.any():
            return None
        row = np.flatnonzero(same)[:1]
        self.notes.append(f"{name}: the stored vector of {self.ids[int(row[0])]!r}, whose content is the same")
        return row

    def missing_inside(self, name: str, items: NDArray[np.int64]) -> int:
        """Count the items that lack one of several inputs which a matrix of `fuse` holds in one vector, but not all."""
        inside = np.stack([self.matrix(each).usable[items] for each in self._embedded(name)])
        return int((inside.any(axis=0) & ~inside.all(axis=0)).sum())

    def _embedded(self, name: str) -> list[str]:
        """Return the entries of `embed` behind a matrix."""
        if name in self.params.embed:
            return [name]
        return [inner for each in self._inputs(name) for inner in self._embedded(each)]
