"""Which part of the data each item stands in: `split` writes it, `train` and all that must not look at test read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from store.errors import InputError
from store.files.publish import atomic_output

_METADATA = b"diptych"


def write_split(
    path: Path,
    ids: Sequence[str],
    parts: Sequence[str],
    summary: Mapping[str, Any],
    roles: Sequence[str | None] | None = None,
) -> None:
    """Write one row (id, part, role) per item; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make.
    ids, parts : sequence of str, length N
        The items in the order of the manifest, and train, dev or test for each.
    summary : mapping
        Counts to keep in the metadata of the file, as JSON.
    roles : sequence of (str or None), length N, optional
        query, gallery or None for each, where the protocol is one of retrieval.
    """
    metadata = {_METADATA: json.dumps(summary, ensure_ascii=False, sort_keys=True).encode()}
    columns = {"id": ids, "part": parts, "role": [None] * len(ids) if roles is None else roles}
    schema = pa.schema([(name, pa.string()) for name in columns], metadata=metadata)
    with atomic_output(path) as temporary:
        pq.write_table(pa.table([pa.array(each, pa.string()) for each in columns.values()], schema=schema), temporary)


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
    return np.array(_column(path, "part", ids), dtype=np.str_)


def read_roles(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Read the role of each of the given items in a retrieval.

    Parameters
    ----------
    path : Path
        The file that `split` wrote.
    ids : sequence of str, length N
        The items, in any order.

    Returns
    -------
    ndarray of str, [N]
        query, gallery, or "" for an item that stays out.

    Raises
    ------
    InputError
        When the file is missing or no split, lacks one of the items, or its protocol gives no roles.
    """
    roles = [role or "" for role in _column(path, "role", ids)]
    if not any(roles):
        raise InputError(
            f"expected a split that says who asks and who may be found in {path}, found none; set split.protocol to "
            "P-image or P-group, or choose another gallery"
        )
    return np.array(roles, dtype=np.str_)


def _column(path: Path, name: str, ids: Sequence[str]) -> list[Any]:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["id", name])
        values = dict(zip(table.column("id").to_pylist(), table.column(name).to_pylist(), strict=True))
    except FileNotFoundError:
        raise InputError(f"expected a split at {path}, found no file; run `diptych split`") from None
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise InputError(f"expected a split at {path}, found another file ({error}); run `diptych split`") from error
    lost = [identity for identity in ids if identity not in values]
    if lost:
        raise InputError(
            f"expected a part for each of {len(ids)} items in {path}, found none for {len(lost)} of them, "
            f"such as {lost[0]!r}; run `diptych split` again"
        )
    return [values[identity] for identity in ids]
