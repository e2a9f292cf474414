"""Whether the rows that the store lacks, and the matrix after them, have room: asked before the model is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.room import Policy, check_disk
from store import EncoderLog, FeatureStore, LocalBackend

_KEY_BYTES = 40  # of a row in a segment: its key and its digest
_SPARE = 1.1


def refuse_full_disks(
    store: FeatureStore, log: EncoderLog, policy: Policy, missing: int, export: tuple[Path | None, int]
) -> None:
    """Refuse to begin what a disk cannot take in; of a storage that is no folder nobody knows the room.

    Parameters
    ----------
    missing : int
        Rows that the store will get.
    export : (Path or None, int)
        The matrix that is written afterwards, and its rows.

    Raises
    ------
    RunError
        When there is too little room and the policy says so.
    """
    row_bytes, (matrix, rows) = log.dim * np.dtype(log.dtype).itemsize, export
    needs = {} if matrix is None else {matrix.parent: int(rows * row_bytes * _SPARE)}
    if isinstance(store.backend, LocalBackend):
        root = store.backend.root
        needs[root] = needs.get(root, 0) + int(missing * (row_bytes + _KEY_BYTES) * _SPARE)
    check_disk(f"embed {log.fingerprint.encoder}", needs, policy)
