"""A matrix as contiguous HDF5 datasets, written past h5py and mapped past it; `reader` sees each as one array.

h5py only lays the file out, and seals it at the end: on a full disk it would bring the whole process down, whereas
plain writes to the places that it reserved fail with an ordinary error.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import mmap
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.files.plain_json import canonical_json
from store.matrices.arrays import described
from store.matrices.contents import BLOCK_ROWS, Content, Ids, MatrixBlock, MatrixHeader, little_endian
from store.matrices.hdf5_layout import DIGEST_BYTES, SCALARS, make_content, unreadable
from store.trust.verified import FileStamp

# Metadata of this version carries checksums of its own.
_LIBRARY_VERSION = ("v108", "v108")
_ALIGNMENT = 64

_Shape = tuple[tuple[int, ...], np.dtype[Any]]


class Hdf5MatrixWriter:
    """Writes one matrix to `path`, group of rows after group of rows; `close` gives it its attributes."""

    def __init__(self, path: Path, header: MatrixHeader, ids: Ids, caller_attributes: dict[str, Any]) -> None:
        self._path, self._next = path, 0
        self._arrays = sorted(each.name for each in header.arrays)
        if header.version > 1:
            caller_attributes = {**caller_attributes, "arrays": described(header.arrays)}
        attributes = np.frombuffer(canonical_json(caller_attributes), dtype=np.uint8)
        known: dict[str, NDArray[Any]] = {
            "ids_utf8": ids.utf8,
            "ids_offsets": ids.offsets,
            "missing_vector": header.missing_vector.astype(little_endian(header.dtype)),
            "attributes_json": attributes,
        }
        shapes = {name: (values.shape, values.dtype) for name, values in known.items()}
        shapes |= _row_shapes(header)
        # As long as what `close` puts in their place.
        placeholders: dict[str, str | int] = {"digest": "0" * 64, "dtype": header.dtype, "complete": False}
        placeholders["attributes_sha256"] = hashlib.sha256(attributes.tobytes()).hexdigest()
        self._offsets = _lay_out(path, shapes, placeholders)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._reserve()
            for name, values in known.items():
                self._write_at(name, 0, values)
        except BaseException:
            self.abandon()
            raise

    def _reserve(self) -> None:
        """Claim all blocks now, so that a full disk shows before hours of writing."""
        try:
            os.posix_fallocate(self._descriptor, 0, os.fstat(self._descriptor).st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise

    def write(self, group: MatrixBlock) -> None:
        """Write the next rows."""
        columns = {"vectors": group.vectors, "present": group.present, "ok": group.ok, **group.arrays}
        for name, values in columns.items():
            self._write_at(name, self._next * math.prod(values.shape[1:]) * values.itemsize, values)
        self._next += len(group.present)

    def _write_at(self, name: str, position: int, values: NDArray[Any]) -> None:
        rest = memoryview(values.tobytes())
        offset = self._offsets[name] + position
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            if written == 0:
                raise OSError(errno.EIO, "the file system accepted no bytes", str(self._path))
            rest, offset = rest[written:], offset + written

    def close(self, attributes: dict[str, Any]) -> None:
        """Write the digests of blocks and, last of all, the attributes."""
        self._write_at("block_digests", 0, _digests(attributes["block_digests"]))
        if self._arrays:
            arrays = [attributes["arrays"][name] for name in self._arrays]
            self._write_at("array_digests", 0, _digests([each for array in arrays for each in array["block_digests"]]))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        # These attributes have their place already (see `_lay_out`), so this takes no room on the disk.
        with h5py.File(self._path, "r+", libver=_LIBRARY_VERSION, locking=False) as file:
            for name in SCALARS:
                file.attrs.modify(name, _fixed(attributes[name]))

    def abandon(self) -> None:
        """Let go of the file after an error; what it holds is worthless."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def _row_shapes(header: MatrixHeader) -> dict[str, _Shape]:
    """Give shape and dtype of what comes row by row, and of the digests of blocks."""
    rows = len(header.ids)
    blocks = -(-rows // BLOCK_ROWS)
    shapes: dict[str, _Shape] = {"vectors": ((rows, header.dim), little_endian(header.dtype))}
    shapes["present"] = shapes["ok"] = ((rows,), np.dtype(bool))
    shapes["block_digests"] = ((blocks, DIGEST_BYTES), np.dtype(np.uint8))
    for array in header.arrays:
        shapes[array.name] = ((rows, *array.shape), little_endian(array.dtype))
        shapes["array_digests"] = ((len(header.arrays) * blocks, DIGEST_BYTES), np.dtype(np.uint8))
    return shapes


def _digests(hexadecimal: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(hexadecimal)), dtype=np.uint8)


def _lay_out(path: Path, shapes: dict[str, _Shape], placeholders: dict[str, str | int]) -> dict[str, int]:
    """Create the file with room for everything and give where each dataset begins."""
    # A limit on the size of files must show here, as an ordinary error, and not within h5py.
    os.truncate(path, sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values()))
    offsets = {}
    with h5py.File(
        path, "w", libver=_LIBRARY_VERSION, locking=False, alignment_threshold=1, alignment_interval=_ALIGNMENT
    ) as file:
        for name in sorted(shapes):
            shape, dtype = shapes[name]
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_layout(h5py.h5d.CONTIGUOUS)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            plan.set_obj_track_times(False)
            kind = h5py.h5t.py_create(dtype, logical=True)
            dataset = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), plan)
            offsets[name] = dataset.get_offset() or 0  # an empty dataset has no place and needs none
        for name in SCALARS:
            file.attrs[name] = _fixed(placeholders.get(name, 0))
        file.attrs["attributes_sha256"] = _fixed(placeholders["attributes_sha256"])
    return offsets


def _fixed(value: str | int) -> np.generic:
    """Give a value a type of fixed size: a variable string would move within the file when it is written again."""
    if isinstance(value, str):
        return np.bytes_(value.encode())
    return np.bool_(value) if isinstance(value, bool) else np.int64(value)


def read(path: Path) -> Content:
    """Map a matrix, refusing every structure that `Hdf5MatrixWriter` does not write.

    Raises
    ------
    ValueError
        When it is not such a file, or another tool packed it anew.
    """
    # h5py reads the very file that is mapped, whatever the name means by then.
    with path.open("rb") as opened, unreadable(), h5py.File(opened, "r") as file:
        stamp = FileStamp.of(opened.fileno())  # before anything that it vouches for is read
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)

        return make_content(file, mapped, stamp)
