"""A segment as HDF5: three plain datasets with Fletcher-32; `segment` checks the digest first."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.rows import VECTOR_TYPES
from store.segment_parts import RawSegment, expected_shapes

_FILTER_BYTES = 4
_ATTRIBUTES = ("format_version", "min_reader", "fingerprint", "provenance")


def build_hdf5(segment: RawSegment) -> bytes:
    """Write a segment; equal content gives equal bytes.

    In memory, because h5py brings the whole process down when a disk is full.
    """
    file = io.BytesIO()
    with h5py.File(file, "w") as archive:
        for name, values in segment.arrays().items():
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            archive.create_dataset(name, data=little, chunks=values.shape, fletcher32=True, track_times=False)
        for name, value in sorted(segment.attributes.items()):
            archive.attrs[name] = value
    return file.getvalue()


def parse_hdf5(data: bytes, rows: int) -> RawSegment:
    """Read a segment of `rows` rows, refusing everything that `build_hdf5` does not write.

    Raises
    ------
    ValueError
        When members, links, layouts, sizes or checksums are not the expected ones.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as archive:
            return _parse_file(archive, rows)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected an HDF5 segment, found one that cannot be read ({error})") from error


def _parse_file(archive: h5py.File, rows: int) -> RawSegment:
    if sorted(archive.keys()) != ["keys", "row_digests", "vectors"]:
        raise ValueError("expected the three arrays of a segment, found other members")
    for name in archive:
        # Looked at before the object is opened: other links can lead into other files.
        if type(archive.get(name, getlink=True)) is not h5py.HardLink:
            raise ValueError(f"expected {name!r} in the file itself, found a link")
    shape = archive["vectors"].shape
    if len(shape) != 2:
        raise ValueError(f"expected vectors of two dimensions, found {len(shape)}")
    shapes = expected_shapes(rows, int(shape[1]))
    arrays = {name: _read_plain(archive[name], name, shapes[name]) for name in shapes}
    attributes = {name: _plain(archive.attrs[name]) for name in _ATTRIBUTES if name in archive.attrs}
    return RawSegment(arrays["keys"], arrays["vectors"], arrays["row_digests"], attributes)


def _read_plain(dataset: object, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or dataset.chunks != shape:
        raise ValueError(f"expected {name!r} as a dataset of shape {shape} in one chunk, found something else")
    allowed = VECTOR_TYPES if name == "vectors" else ("uint8",)
    if dataset.dtype.str not in {np.dtype(kind).newbyteorder("<").str for kind in allowed}:
        raise ValueError(f"expected {name!r} in {' or '.join(allowed)}, found {dataset.dtype}")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if filters != [h5py.h5z.FILTER_FLETCHER32] or dataset.is_virtual or dataset.external:
        raise ValueError(f"expected {name!r} with Fletcher-32 and nothing else, found other filters or storage")
    # A chunk that was never written would read as zeros.
    stored = shape[0] * shape[1] * dataset.dtype.itemsize + _FILTER_BYTES
    if dataset.id.get_storage_size() != stored:
        raise ValueError(f"expected {stored} bytes for {name!r}, found {dataset.id.get_storage_size()}")
    return np.asarray(dataset[:])


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str) else None
