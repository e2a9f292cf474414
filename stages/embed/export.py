"""Write the dataset-aligned matrix from the store and its card, and find unequal texts that got one vector."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.compute import Job
from stages.embed.request import Rows
from stages.models.encoders.protocol import Part
from store import EncoderLog, Locations, MatrixArray, MatrixBlock, MatrixHeader, VectorType, cosines, write_matrix
from store.results.cards import EntryCard

Numbers = NDArray[Any]
_MASKS = {"tokens": "token_mask", "regions": "region_mask"}


def arrays_beside(parts: Sequence[Part], dtype: VectorType) -> list[MatrixArray]:
    """Declare what a matrix holds besides the vectors: each further part, and the mask of a counted one."""
    declared = []
    for part in parts[1:]:
        declared.append(MatrixArray(part.name, part.shape, dtype))
        if part.counted:
            declared.append(MatrixArray(_MASKS[part.name], part.shape[:1], "bool"))
    return declared


def take_apart(parts: Sequence[Part], rows: Numbers) -> tuple[Numbers, Mapping[str, Numbers]]:
    """Split rows [n, W] into vectors [n, D] and, by name, the other arrays [n, *shape] and masks [n, positions]."""
    vectors, arrays, start = rows[:, : parts[0].width], {}, parts[0].width
    for part in parts[1:]:
        own = rows[:, start : start + part.width]
        start += part.width
        if part.counted:
            own, counts = own[:, :-1], own[:, -1]
            arrays[_MASKS[part.name]] = np.arange(part.shape[0]) < counts[:, None]
        arrays[part.name] = own.reshape(len(rows), *part.shape)
    return vectors, arrays


EQUAL = 0.99999
"""Cosine from which two vectors count as equal: half precision and another batch move equal ones by less."""

_DIRECTIONS = 4
_CELL = 0.02  # of a projection, whose deviation is 1: hundreds of cells in each direction, and rounding leaves them

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Alike:
    """How many distinct texts have the vector of another one, of how many, and one such pair ("" without any)."""

    texts: int = 0
    of: int = 0
    example: tuple[str, str] = ("", "")


class VectorCells:
    """Puts each vector into a cell of a few random projections: equal vectors fall into one, and few others do.

    Parameters
    ----------
    contents : int
        How many distinct contents there are.
    width : int
        Width of their vectors.
    """

    def __init__(self, contents: int, width: int) -> None:
        self._cells = np.zeros(contents, dtype=np.int64)
        self._seen = np.zeros(contents, dtype=np.bool_)
        self._directions = np.random.default_rng(0).standard_normal((width, _DIRECTIONS)).astype(np.float32)

    def add(self, contents: Rows, vectors: Vectors) -> None:
        """Take the vectors [n, D] of contents [n]; one of zeros says nothing, and is left out."""
        rows = vectors.astype(np.float32)
        norms = np.linalg.norm(rows, axis=1)
        some = norms > 0
        at = (rows[some] / norms[some, None]) @ self._directions / _CELL
        cells = np.clip(np.rint(at), -32768, 32767).astype(np.int16)
        self._cells[contents[some]] = np.ascontiguousarray(cells).view(np.int64).ravel()
        self._seen[contents[some]] = True

    def pairs(self) -> tuple[Rows, Rows]:
        """Return contents that share a cell: of each cell its first, as often as there are others, and the others."""
        contents = np.flatnonzero(self._seen)
        _, first, inverse = np.unique(self._cells[contents], return_index=True, return_inverse=True)
        firsts = contents[first[inverse]]
        others = firsts != contents
        return firsts[others], contents[others]

    @property
    def seen(self) -> int:
        """How many contents have a vector."""
        return int(np.count_nonzero(self._seen))


def alike(
    cells: VectorCells, read: Callable[[Rows], Vectors], texts: Callable[[Rows], list[str]], most: int = 8192
) -> Alike:
    """Count the texts whose vector an earlier, unequal text has; those that differ in case or accents count as equal.

    Parameters
    ----------
    cells : VectorCells
        All vectors.
    read, texts : callable
        Give the vectors [n, D] and the texts of contents [n].
    most : int
        The largest n.
    """
    count, example = 0, ("", "")
    for first, other in _slices(*cells.pairs(), most):
        equal = cosines(read(first), read(other)) >= EQUAL
        for one, two in zip(texts(first[equal]), texts(other[equal]), strict=True):
            if plain(one) != plain(two):
                count, example = count + 1, example if count else (one, two)
    return Alike(count, cells.seen, example)


def _slices(first: Rows, other: Rows, most: int) -> Iterator[tuple[Rows, Rows]]:
    for start in range(0, len(first), most):
        yield first[start : start + most], other[start : start + most]


def plain(text: str) -> str:
    """Drop what encoders drop by intent: case, accents, blanks."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in parts if not unicodedata.combining(sign) and not sign.isspace())


_ROWS = 8192
_BYTES = 32 << 20


def export(job: Job, locations: Locations, matrix: Path, card: Path) -> Alike:
    """Write the matrix [N, D] and its card; absent and failed rows get the missing vector and a False mask.

    Both follow from the manifest and the vectors alone, not from how the store holds them: whoever computed the rows,
    in however many runs, the file is the same.

    Parameters
    ----------
    locations : Locations
        Where the contents of the request lie; those not found have failed.

    Returns
    -------
    Alike
        How many texts have the vector of another one; of other inputs nothing is counted.
    """
    params = job.params
    about = {
        "encoder": params.encoder,
        "field": job.inputs.name,
        "fingerprint": job.log.fingerprint.digest,
        "content": job.inputs.content_digest(),
        "missing": params.missing_rule,
    }
    blocks = _Blocks(job, locations)
    # The whole record too, so that a matrix tells what made it wherever it goes, without any store.
    attributes = {**about, "record": job.log.fingerprint.record}
    parts, dtype = job.encoder.parts, job.log.dtype
    header = MatrixHeader(
        job.inputs.manifest.ids(),
        parts[0].width,
        dtype,
        _missing_vector(job, locations),
        attributes,
        arrays_beside(parts, dtype),
    )
    info = write_matrix(matrix, header, blocks.stream())
    counts = {"rows": info.rows, "dim": info.dim, "present": blocks.present, "ok": blocks.ok}
    counts["failed"] = blocks.present - blocks.ok
    EntryCard(counts=counts, made_of={**about, "dtype": info.dtype, "digest": info.digest}).write(card)
    return _alike(job, locations, blocks)


def _alike(job: Job, locations: Locations, blocks: _Blocks) -> Alike:
    if blocks.cells is None:
        return Alike()
    manifest, (name,), first = job.inputs.manifest, job.inputs.fields, job.request.first
    width = job.encoder.parts[0].width

    def texts(contents: Rows) -> list[str]:
        return [text or "" for text in manifest.texts(name, first[contents])]

    return alike(
        blocks.cells, lambda contents: job.log.read(locations, contents)[:, :width], texts, _rows_each(job.log)
    )


def _rows_each(log: EncoderLog) -> int:
    """Return how many rows are read at once: few where they hold the states of all tokens."""
    return max(1, min(_ROWS, _BYTES // (log.dim * np.dtype(log.dtype).itemsize)))


def _missing_vector(job: Job, locations: Locations) -> NDArray[np.floating[Any]]:
    width = job.encoder.parts[0].width
    if job.request.empty < 0:
        return np.zeros(width, dtype=job.log.dtype)
    row: NDArray[np.floating[Any]] = job.log.read(locations, np.array([job.request.empty]))[0]
    return row[:width]


class _Blocks:
    """Streams the rows in manifest order, counting what is present and what is good."""

    def __init__(self, job: Job, locations: Locations) -> None:
        self._inverse, self._log, self._locations = job.request.inverse, job.log, locations
        self._parts, self._zero_is_absent = job.encoder.parts, job.encoder.zero_rows == "absent"
        self.present = 0
        self.ok = 0
        is_text = job.params.row.kind == "text"
        self.cells = VectorCells(len(job.request.keys), self._parts[0].width) if is_text else None

    def stream(self) -> Iterator[MatrixBlock]:
        """Yield blocks; absent and failed rows are left to the writer, which puts the missing vector there."""
        rows_each = _rows_each(self._log)
        for start in range(0, len(self._inverse), rows_each):
            at = self._inverse[start : start + rows_each]
            present = at >= 0
            ok = present.copy()
            ok[present] = self._locations.found[at[present]]
            rows = np.zeros((len(at), self._log.dim), dtype=self._log.dtype)
            rows[ok] = self._log.read(self._locations, at[ok])
            vectors, arrays = take_apart(self._parts, rows)
            if self._zero_is_absent:
                # An item in which the encoder knows nothing says as much as none.
                known = vectors.any(axis=1) | ~ok
                present, ok = present & known, ok & known
            self.present += int(np.count_nonzero(present))
            self.ok += int(np.count_nonzero(ok))
            if self.cells is not None:
                self.cells.add(at[ok], vectors[ok])
            yield MatrixBlock(vectors, present, ok, arrays)
