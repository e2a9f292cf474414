"""What an HDF5 matrix holds and under which names, and how that is mapped; `hdf5` writes and opens it."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.files.plain_json import parse_document
from store.items.vectors import VECTOR_TYPES
from store.matrices.arrays import ARRAY_NAMES, MappedVectors, MatrixArray, stated_arrays
from store.matrices.contents import BLOCK_ROWS, Content, Ids, check_version, little_endian
from store.trust.verified import FileStamp

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


def make_content(file: h5py.File, mapped: mmap.mmap, stamp: FileStamp) -> Content:
    """Read everything but the vectors and the arrays beside them, which stay mapped.

    Parameters
    ----------
    mapped : mmap
        The very file that h5py reads.

    Raises
    ------
    ValueError
        When the file is not laid out as `hdf5` writes it.
    """
    check_members(file)
    datasets = _Datasets(file, mapped)
    rows, dim = file["vectors"].shape
    dtype = file["vectors"].dtype.name
    if dim < 1 or dtype not in VECTOR_TYPES:
        raise ValueError(f"expected vectors in {' or '.join(VECTOR_TYPES)}, found {dtype}")
    utf8 = datasets.copy("ids_utf8", (len(file["ids_utf8"]),), "uint8")
    ids = Ids(utf8, datasets.copy("ids_offsets", (rows + 1,), "int64"))
    masks = datasets.copy("present", (rows,), "bool"), datasets.copy("ok", (rows,), "bool")
    missing = datasets.copy("missing_vector", (dim,), dtype)
    text = datasets.copy("attributes_json", (len(file["attributes_json"]),), "uint8").tobytes()
    attributes = _attributes(file, text)
    blocks = -(-rows // BLOCK_ROWS)
    attributes["block_digests"] = _hex(datasets.copy("block_digests", (blocks, DIGEST_BYTES), "uint8"))
    stated = stated_arrays(attributes)
    _add_array_digests(file, datasets, attributes, stated, blocks)
    arrays = {each.name: datasets.rows(each.name, (rows, *each.shape), each.dtype) for each in stated}
    vectors = datasets.rows("vectors", (rows, dim), dtype)
    return Content(vectors, ids, *masks, missing, attributes, stamp, arrays)


def _add_array_digests(
    file: h5py.File, datasets: _Datasets, attributes: dict[str, Any], stated: list[MatrixArray], blocks: int
) -> None:
    """Complete the attribute `arrays`, whose digests were not known yet when it was written."""
    expected = {"array_digests", *(each.name for each in stated)} if stated else set()
    if set(file.keys()) - _DATASETS != expected:
        odd = sorted((set(file.keys()) - _DATASETS) ^ expected)[0]
        raise ValueError(f"expected the arrays that the attributes state, found {odd!r} missing or too many")
    if stated:
        digests = _hex(datasets.copy("array_digests", (len(stated) * blocks, DIGEST_BYTES), "uint8"))
        for number, each in enumerate(stated):
            attributes["arrays"][each.name]["block_digests"] = digests[number * blocks : (number + 1) * blocks]


class _Datasets:
    """The datasets of an open file by name, each held against shape and dtype before a byte of it is read."""

    def __init__(self, file: h5py.File, mapped: mmap.mmap) -> None:
        self._file, self._mapped = file, mapped

    def copy(self, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Give a dataset as an array of its own."""
        return self._view(name, shape, dtype).copy()

    def rows(self, name: str, shape: tuple[int, ...], dtype: str) -> MappedVectors:
        """Give one whose rows are read later."""
        return MappedVectors(self._view(name, shape, dtype)[None], shape[0])

    def _view(self, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        found = self._file[name]
        if not isinstance(found, h5py.Dataset) or found.shape != shape or found.dtype.str != little_endian(dtype).str:
            raise ValueError(f"expected {name!r} as {dtype} {shape}, found something else")
        if found.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS or found.external:
            raise ValueError(
                f"expected {name!r} in one piece in the file itself, found it cut, compressed or elsewhere, as other "
                "tools pack it"
            )
        if not found.size:
            return np.zeros(shape, dtype=found.dtype)
        start = found.id.get_offset()
        if start is None or start + found.nbytes > len(self._mapped):
            raise ValueError(f"expected {found.nbytes} bytes for {name!r}, found fewer")
        return np.ndarray(shape, found.dtype, self._mapped, start)


def _hex(digests: NDArray[Any]) -> list[str]:
    return [digest.tobytes().hex() for digest in digests]


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
