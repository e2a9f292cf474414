"""The table of predictions, one row per seed and dev or test item, that `train` writes for `evaluate` and `report`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from store.errors import InputError

_ABOUT = b"diptych"
_COLUMNS = [("seed", pa.int64()), ("id", pa.string()), ("part", pa.string()), ("scores", pa.list_(pa.float32()))]


class PredictionWriter:
    """Writes blocks of predictions to a Parquet file, which is finished when its `with` block ends.

    Parameters
    ----------
    path : Path
        Where; callers hand in a temporary name.
    about : mapping
        JSON kept in the file's metadata: experiment, task, classes, manifest, features, fusion, head.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        metadata = {_ABOUT: json.dumps(about, ensure_ascii=False, sort_keys=True).encode()}
        self._schema = pa.schema(_COLUMNS, metadata=metadata)
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, seed: int, ids: list[str], parts: NDArray[np.str_], scores: NDArray[np.float32]) -> None:
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


@dataclass(frozen=True)
class PredictionTable:
    """The n rows of one part, in the order of the file.

    Attributes
    ----------
    about : mapping
        What the writer was told.
    seeds : int64 [n]
    """

    about: Mapping[str, Any]
    seeds: NDArray[np.int64]
    _ids: pa.StringArray
    _lists: pa.ListArray

    @property
    def ids(self) -> list[str]:
        """The items, [n]."""
        ids: list[str] = self._ids.to_pylist()
        return ids

    def of(self, seed: int) -> Self:
        """Return the rows of one seed."""
        rows = np.flatnonzero(self.seeds == seed)
        taken = {"_ids": self._ids.take(pa.array(rows)), "_lists": self._lists.take(pa.array(rows))}
        return replace(self, seeds=self.seeds[rows], **taken)

    def wrong(self, width: int) -> str:
        """Say what is wrong with scores that should be finite and `width` for each row; "" when nothing is."""
        if not np.all(pc.list_value_length(self._lists).to_numpy(zero_copy_only=False) == width):
            return f"expected {width} scores for each row; found another number"
        if not np.isfinite(self._values()).all():
            return "expected finite scores; found NaN or infinity"
        return ""

    def scores(self, width: int) -> NDArray[np.float32]:
        """Return the scores, float32 [n, width], of which nothing is `wrong`."""
        return self._values().reshape(-1, width)

    def _values(self) -> NDArray[np.float32]:
        return np.asarray(self._lists.flatten(), dtype=np.float32)


def read_predictions(path: Path, part: str) -> PredictionTable:
    """Read the predictions for one part.

    Raises
    ------
    InputError
        When there is no such file, or it holds no predictions.
    """
    try:
        table = pq.read_table(path, columns=["seed", "id", "scores"], filters=[("part", "==", part)])
        about = json.loads((table.schema.metadata or {})[_ABOUT])
        seeds, ids, lists = (table.column(name).combine_chunks() for name in ("seed", "id", "scores"))
        return PredictionTable(about, seeds.to_numpy(), ids, lists)
    except FileNotFoundError:
        raise InputError(f"expected predictions at {path}; found no file; run `diptych train`.") from None
    except (pa.ArrowInvalid, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"expected predictions at {path}; found another file ({error}); run `diptych train`."
        ) from error
