"""Write the dataset-aligned matrix from the store, block by block, and its git-tracked card; `run` calls it last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.embed.params import EmbedParams
from stages.embed.request import Request
from stages.items import Manifest
from stages.outputs import write_json
from store import EncoderLog, Locations, MatrixBlock, MatrixHeader, write_matrix

_ROWS = 8192


@dataclass(frozen=True)
class Export:
    """What is exported: the request's contents, from the log, in the order of the manifest."""

    params: EmbedParams
    manifest: Manifest
    request: Request
    log: EncoderLog


def export(what: Export, matrix: Path, card: Path) -> None:
    """Write the matrix [N, D] and its card; rows without a vector in the store become absent or failed rows."""
    params, request, log = what.params, what.request, what.log
    locations = log.locate(request.keys)
    blocks = _Blocks(request, log, locations)
    about = {
        "encoder": params.encoder,
        "field": params.field,
        "fingerprint": log.fingerprint.digest,
        "content": what.manifest.content_digest(params.field),
        "missing": params.missing_rule,
    }
    attributes = {**about, "segments": sorted(locations.names)}
    missing_vector = _missing_vector(request, log, locations)
    header = MatrixHeader(what.manifest.ids(), log.dim, params.dtype, missing_vector, attributes)
    info = write_matrix(matrix, header, blocks.stream())
    counts = {"present": blocks.present, "ok": blocks.ok, "failed": blocks.present - blocks.ok}
    facts = {"rows": info.rows, "dim": info.dim, "dtype": info.dtype, "digest": info.digest}
    write_json(card, {**about, **facts, **counts})


def _missing_vector(request: Request, log: EncoderLog, locations: Locations) -> NDArray[np.float32]:
    if request.with_empty and locations.found[-1]:
        vector: NDArray[np.float32] = log.read(locations, np.array([len(request.keys) - 1]))[0].astype(np.float32)
        return vector
    return np.zeros(log.dim, dtype=np.float32)


class _Blocks:
    """Streams the rows in manifest order, counting what is present and what is good."""

    def __init__(self, request: Request, log: EncoderLog, locations: Locations) -> None:
        self._request, self._log, self._locations = request, log, locations
        self.present = 0
        self.ok = 0

    def stream(self) -> Iterator[MatrixBlock]:
        """Yield blocks; absent and failed rows are left to the writer, which puts the missing vector there."""
        for start in range(0, len(self._request.inverse), _ROWS):
            at = self._request.inverse[start : start + _ROWS]
            present = at >= 0
            ok = present.copy()
            ok[present] = self._locations.found[at[present]]
            vectors = np.zeros((len(at), self._log.dim), dtype=self._log.dtype)
            if ok.any():
                vectors[ok] = self._log.read(self._locations, at[ok])
            self.present += int(present.sum())
            self.ok += int(ok.sum())
            yield MatrixBlock(vectors, present, ok)
