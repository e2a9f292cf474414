"""Write the dataset-aligned matrix from the store, block by block, and its git-tracked card; `run` calls it last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.alike import Alike, VectorCells, alike
from stages.embed.compute import Job
from stages.embed.parts_of_rows import arrays_beside, take_apart
from stages.embed.request import Rows
from stages.outputs import write_json
from store import EncoderLog, Locations, MatrixBlock, MatrixHeader, write_matrix

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
    counts = {"present": blocks.present, "ok": blocks.ok, "failed": blocks.present - blocks.ok}
    facts = {"rows": info.rows, "dim": info.dim, "dtype": info.dtype, "digest": info.digest}
    write_json(card, {**about, **facts, **counts})
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
