"""What an HDF5 matrix holds and under which names; `hdf5_matrix` maps it, `library_hdf5` reads it through h5py."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import h5py
from numpy.typing import NDArray

from store.matrix_arrays import ARRAY_NAMES, MatrixArray, stated_arrays
from store.matrix_parts import BLOCK_ROWS, Content, Ids, check_version, little_endian
from store.plain_json import parse_document
from store.rows import VECTOR_TYPES
from store.vectors import Vectors
from store.verified import FileStamp

DIGEST_BYTES = 32
SCALARS = ("format_version", "min_reader", "rows", "dim", "dtype", "digest", "complete")
_DATASETS = {
    "vectors",
    "ids_utf8",
    "ids_offsets",
    "present",
    "ok",
    "missing_vector",
    "block_digests",
    "attributes_json",
}
# Only beside the arrays that a matrix may have since version 2.
_OPTIONAL = {*ARRAY_NAMES, "array_digests"}

Fetch = Callable[[str, tuple[int, ...], str], NDArray[Any]]
Reach = Callable[[str, tuple[int, ...], str], Vectors]


@contextlib.contextmanager
def unreadable() -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a ValueError.

    Raises
    ------
    ValueError
        When the body cannot read the file.
    """
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a whole HDF5 file, found one that cannot be read ({error})") from error


def check_members(file: h5py.File) -> None:
    """Look at version and names, before anything is opened by its name.

    Raises
    ------
    ValueError
        When they are not those of a matrix; a link could lead into another file.
    UnsupportedFormat
        When a newer version wrote it.
    """
    check_version(file.attrs["min_reader"].item())
    names = set(file.keys())
    if _DATASETS - names or names - _DATASETS - _OPTIONAL:
        raise ValueError("expected the members of a matrix, found others")
    for name in names:
        if type(file.get(name, getlink=True)) is not h5py.HardLink:
            raise ValueError(f"expected {name!r} in the file itself, found a link")


def make_content(file: h5py.File, fetch: Fetch, reach: Reach, stamp: FileStamp | None) -> Content:
    """Read everything but the vectors and the arrays beside them.

    Parameters
    ----------
    fetch : callable
        Gives a dataset of a name, shape and dtype as an array of its own.
    reach : callable
        Gives one whose rows are read later.

    Raises
    ------
    ValueError
        When the file is not laid out as a matrix.
    """
    check_members(file)
    rows, dim = file["vectors"].shape
    dtype = file["vectors"].dtype.name
    if dim < 1 or dtype not in VECTOR_TYPES:
        raise ValueError(f"expected vectors in {' or '.join(VECTOR_TYPES)}, found {dtype}")
    ids = Ids(fetch("ids_utf8", (len(file["ids_utf8"]),), "uint8"), fetch("ids_offsets", (rows + 1,), "int64"))
    masks = fetch("present", (rows,), "bool"), fetch("ok", (rows,), "bool")
    missing = fetch("missing_vector", (dim,), dtype)
    attributes = _attributes(file, fetch("attributes_json", (len(file["attributes_json"]),), "uint8").tobytes())
    blocks = -(-rows // BLOCK_ROWS)
    attributes["block_digests"] = _hex(fetch("block_digests", (blocks, DIGEST_BYTES), "uint8"))
    stated = stated_arrays(attributes)
    _fetch_array_digests(file, fetch, attributes, stated, blocks)
    arrays = {each.name: reach(each.name, (rows, *each.shape), each.dtype) for each in stated}
    return Content(reach("vectors", (rows, dim), dtype), ids, *masks, missing, attributes, stamp, arrays)


def _fetch_array_digests(
    file: h5py.File, fetch: Fetch, attributes: dict[str, Any], stated: list[MatrixArray], blocks: int
) -> None:
    """Complete the attribute `arrays`, whose digests were not known yet when it was written."""
    expected = {"array_digests", *(each.name for each in stated)} if stated else set()
    if set(file.keys()) - _DATASETS != expected:
        odd = sorted((set(file.keys()) - _DATASETS) ^ expected)[0]
        raise ValueError(f"expected the arrays that the attributes state, found {odd!r} missing or too many")
    if stated:
        digests = _hex(fetch("array_digests", (len(stated) * blocks, DIGEST_BYTES), "uint8"))
        for number, each in enumerate(stated):
            attributes["arrays"][each.name]["block_digests"] = digests[number * blocks : (number + 1) * blocks]


def _hex(digests: NDArray[Any]) -> list[str]:
    return [digest.tobytes().hex() for digest in digests]


def dataset(file: h5py.File, name: str, shape: tuple[int, ...], dtype: str) -> h5py.Dataset:
    """Give a dataset, having checked what it is; no data is read.

    Raises
    ------
    ValueError
        When it has another type or shape, or its bytes lie in other files.
    """
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.shape != shape or found.dtype.str != little_endian(dtype).str:
        raise ValueError(f"expected {name!r} as {dtype} {shape}, found something else")
    if found.id.get_create_plist().get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or found.external:
        raise ValueError(f"expected {name!r} in the file itself, found another storage")
    return found


def _attributes(file: h5py.File, text: bytes) -> dict[str, Any]:
    if hashlib.sha256(text).hexdigest() != file.attrs["attributes_sha256"].decode():
        raise ValueError("expected attributes_json to match attributes_sha256, found another")
    attributes = parse_document(text)
    for name in SCALARS:
        value = file.attrs[name]
        attributes[name] = value.decode().strip() if isinstance(value, bytes) else value.item()
    if set(file.attrs) - {*SCALARS, "attributes_sha256"}:
        raise ValueError("expected the attributes of a matrix, found others")
    return attributes
