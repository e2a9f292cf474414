"""The file of predictions, one row per seed and dev or test item, that `evaluate` and `report` read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.models.heads.model import Scores

_METADATA = b"diptych"


class PredictionWriter:
    """Writes blocks of predictions to a Parquet file, which is finished when its `with` block ends.

    Parameters
    ----------
    path : Path
        Where; callers hand in a temporary name.
    about : mapping
        JSON kept in the file's metadata: experiment, task, classes, features, fusion, head.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        metadata = {_METADATA: json.dumps(about, ensure_ascii=False, sort_keys=True).encode()}
        fields = [("seed", pa.int64()), ("id", pa.string()), ("part", pa.string()), ("scores", pa.list_(pa.float32()))]
        self._schema = pa.schema(fields, metadata=metadata)
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, seed: int, ids: list[str], parts: NDArray[np.str_], scores: Scores) -> None:
        """Append n rows; `scores` is [n, K], or [n, 1] for regression."""
        offsets = np.arange(0, scores.size + 1, max(1, scores.shape[1]), dtype=np.int32)
        values = pa.array(np.ascontiguousarray(scores, dtype=np.float32).ravel())
        columns = [
            pa.array(np.full(len(ids), seed, dtype=np.int64)),
            pa.array(ids, pa.string()),
            pa.array(parts.tolist(), pa.string()),
            pa.ListArray.from_arrays(pa.array(offsets), values),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
