"""From a query to its vectors: through the encoders, projections and fusions behind a system's matrices; for `search`.

An item with the same content has the vector already: it is read instead of computed, and is then the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from pipeline.search.system import fields_of
from pipeline.wiring import stated_digest
from stages.embed.params import encoder_and_fingerprint
from stages.embed.single import encode_single
from stages.models.encoders.inputs import Inputs
from stages.models.features.layout import Layout
from stages.models.features.opening import open_aligned
from store import Matrix, image_key, text_key
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import IMAGE

Numbers = NDArray[Any]
_STALE = "run `dvc repro`, and search again."


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


@dataclass(frozen=True)
class Vector:
    """The query as one row [1, ...] of a matrix, in the stored type; `present` False for a missing vector."""

    vectors: Numbers
    arrays: Mapping[str, Numbers]
    present: bool = True


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
    _matrices: dict[str, Matrix] = field(default_factory=dict)
    _made: dict[str, Vector] = field(default_factory=dict)

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
        if name not in self._matrices:
            digest = stated_digest(self.params.matrices, name)
            (opened,) = open_aligned(self.params.matrices.features([name]), self.ids, (digest,))
            self._refuse_stale(name, opened)
            self._matrices[name] = opened
        return self._matrices[name]

    def _refuse_stale(self, name: str, opened: Matrix) -> None:
        found = opened.attributes
        if name in self.params.embed:
            entry = self.params.embed[name]
            wanted: dict[str, object] = {
                "content": Inputs.of(self.manifest, entry.row.kind, entry.field).content_digest()
            }
        elif name in self.params.reduce:
            wanted = {"source_digest": self.matrix(self.params.reduce[name].features).digest}
        else:
            sources = [self.matrix(each).digest for each in self.params.fuse[name].features]
            wanted = {"fusion": self.params.fuse[name].fusion, "sources": sources}
        for key, value in wanted.items():
            if found.get(key) != value:
                raise InputError(
                    f"{opened.path}: expected a matrix made from the present {key}; found another; {_STALE}"
                )

    def of(self, name: str) -> Vector:
        """Return the query's vector for an entry of `embed`, `reduce` or `fuse` that holds one of its fields.

        Raises
        ------
        InputError
            When it cannot be encoded, or what encoded the stored rows is not what the params name now.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Vector:
        matrix, params = self.matrix(name), self.params
        if name in params.embed:
            return self._encoded(name, matrix)
        row = self._same_item(name)
        if row is not None:
            return Vector(matrix.rows(row), {})
        if name in params.reduce:
            return Vector(self._reduced(name, matrix), {})
        return Vector(self._fused(name, matrix), {})

    def _encoded(self, name: str, matrix: Matrix) -> Vector:
        entry = self.params.embed[name]
        encoder, fingerprint = encoder_and_fingerprint(entry, paths.fitted(entry.fit))
        found = str(matrix.attributes.get("fingerprint"))
        if found != fingerprint.digest:
            raise InputError(
                f"{matrix.path}: expected rows of the encoder that params.yaml names (fingerprint "
                f"{fingerprint.digest[:16]}); found those of another ({found[:16]}); {_STALE}"
            )
        row = self._same_item(name)
        if row is not None:
            return Vector(matrix.rows(row), {each: matrix.read_array(each, row) for each in matrix.arrays})
        made = encode_single(entry, encoder, self._raw(name), self.settings.device, self.settings.engine)
        self.notes += [f"{name}: {what.replace('_', ' ')}: {count}" for what, count in made.notes.items() if count]
        return Vector(made.vectors, made.arrays)

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
        if name in self.params.fuse:
            return [inner for each in self.params.fuse[name].features for inner in self._embedded(each)]
        return [self.params.reduce[name].features if name in self.params.reduce else name]

    def _reduced(self, name: str, matrix: Matrix) -> Numbers:
        from stages.models.fusions.pca import PcaProjection  # scikit-learn, which encoders do without

        entry, folder = self.params.reduce[name], _fitted("reduce", name)
        projection = PcaProjection(entry.components, entry.whiten).restore(folder)
        missing = self.matrix(entry.features).missing_vector
        _refuse_other_model(folder, projection.transform(missing[None, :])[0], matrix)
        return projection.transform(self.of(entry.features).vectors)

    def _fused(self, name: str, matrix: Matrix) -> Numbers:
        from stages.models.encoders.running.engines import resolve_device
        from stages.models.features.scaling import BlockScaler
        from stages.models.features.table import layout_of, missing_row
        from stages.models.fusions.model import VectorFusion
        from stages.models.heads.model import Problem

        entry, folder = self.params.fuse[name], _fitted("fuse", name)
        sources = [self.matrix(each) for each in entry.features]
        layout = layout_of(sources, entry.row.needs, entry.fusion)
        device = resolve_device(self.settings.device) if entry.row.learns else "cpu"
        scaler = BlockScaler(layout, entry.scale).restore(folder)
        built: VectorFusion = entry.row.build(layout, entry.options, Problem("multilabel", 1, entry.seed, device))
        fusion = built.restore(folder)
        missing = fusion.transform(scaler.transform(missing_row(sources, layout)[None, :]))[0]
        _refuse_other_model(folder, missing, matrix)
        given = [self._or_missing(each) for each in entry.features]
        return fusion.transform(scaler.transform(_joined(given, layout)))

    def _or_missing(self, name: str) -> Vector:
        if self.query.given.intersection(fields_of(self.params, name)):
            return self.of(name)
        return Vector(self.matrix(name).missing_vector[None, :], {}, present=False)


def _joined(given: list[Vector], layout: Layout) -> NDArray[np.float32]:
    """Lay the inputs side by side as `gather` does: [1, columns], presence last."""
    values = []
    for vector, block in zip(given, layout, strict=True):
        values.append(vector.vectors)
        for name, shape in block.arrays.items():
            values.append(vector.arrays[name] if vector.present else np.zeros(shape))
    flat = [np.asarray(each, np.float32).ravel() for each in (*values, [each.present for each in given])]
    return np.concatenate(flat)[None, :]


def _fitted(verb: str, name: str) -> Path:
    folder = paths.model(verb, name)
    if not folder.is_dir():
        raise InputError(
            f"expected what `{verb}` fitted at {folder}; found none; run `dvc repro` (or `dvc pull`) first."
        )
    return folder


def _refuse_other_model(folder: Path, missing: Numbers, matrix: Matrix) -> None:
    """Hold a restored model against the one vector that the matrix keeps of what made it."""
    stored = np.asarray(matrix.missing_vector, np.float64)
    if missing.shape != stored.shape or not np.allclose(
        missing, stored, 1e-3, 1e-3 * float(np.abs(stored).max(initial=0))
    ):
        raise InputError(f"{folder}: expected the model that made {matrix.path}; found another; {_STALE}")
