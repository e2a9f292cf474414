"""Which part of the data each item stands in: `split` writes it, `train` and all that must not look at test read it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.errors import InputError

_METADATA = b"diptych"


def write_split(path: Path, ids: Sequence[str], parts: Sequence[str], summary: Mapping[str, Any]) -> None:
    """Write one row (id, part) per item, under a temporary name until it is whole.

    Parameters
    ----------
    path : Path
        The file to make.
    ids, parts : sequence of str, length N
        The items in the order of the manifest, and train, dev or test for each.
    summary : mapping
        Counts to keep in the metadata of the file, as JSON.
    """
    metadata = {_METADATA: json.dumps(summary, ensure_ascii=False, sort_keys=True).encode()}
    schema = pa.schema([("id", pa.string()), ("part", pa.string())], metadata=metadata)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        pq.write_table(pa.table([pa.array(ids, pa.string()), pa.array(parts, pa.string())], schema=schema), unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_split(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Read the part of each of the given items.

    Parameters
    ----------
    path : Path
        The file that `split` wrote.
    ids : sequence of str, length N
        The items, in any order.

    Returns
    -------
    ndarray of str, [N]
        train, dev or test.

    Raises
    ------
    InputError
        When the file is missing or no split, or lacks one of the items.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["id", "part"])
        parts = dict(zip(table.column("id").to_pylist(), table.column("part").to_pylist(), strict=True))
    except FileNotFoundError:
        raise InputError(f"expected a split at {path}, found no file; run `diptych split`") from None
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise InputError(f"expected a split at {path}, found another file ({error}); run `diptych split`") from error
    lost = [identity for identity in ids if identity not in parts]
    if lost:
        raise InputError(
            f"expected a part for each of {len(ids)} items in {path}, found none for {len(lost)} of them, "
            f"such as {lost[0]!r}; run `diptych split` again"
        )
    return np.array([parts[identity] for identity in ids], dtype=np.str_)
