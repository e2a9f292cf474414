"""Chunks of another size are refused before HDF5 sees them; no file is made of those that hold too little.

HDF5 2.0.0 (in h5py 3.16.0) read beyond such a chunk without a word, or the process died of it. So what refuses them is
asked by itself; files whose chunks hold too much, which HDF5 stands, are in `test_matrix_repacked_abuse`.
"""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import h5py
import pytest

from store.caps import check_deflated
from store.library_hdf5 import _Guarded as Guarded

SHUFFLE, DEFLATE, FLETCHER = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32


class Stub:
    """A dataset of which only filters, sizes and one chunk are known."""

    def __init__(self, *filters: int, chunk: tuple[int, bytes] = (0, b"")) -> None:
        self._filters, self._chunk_bytes = list(filters), 840
        self._dataset = SimpleNamespace(id=SimpleNamespace(read_direct_chunk=lambda _: chunk))


@pytest.mark.parametrize(
    ("filters", "right"),
    [((), 840), ((SHUFFLE,), 840), ((FLETCHER,), 844), ((SHUFFLE, FLETCHER), 844)],
)
def test_without_deflate_a_chunk_has_one_size_and_leaves_out_no_filter(filters, right):
    sizes = [0, 1, 100, 839, 840, 841, 843, 844, 845, 848, 10_000]
    assert [size for size in sizes if Guarded._has_sound_size(Stub(*filters), 0, size)] == [right]
    assert not any(Guarded._has_sound_size(Stub(*filters), 1, size) for size in sizes)


@pytest.mark.parametrize("behind", [b"", b"sums"], ids=["plain", "with Fletcher-32"])
@pytest.mark.parametrize(("mask", "size"), [(0, 0), (0, 1), (0, 100), (0, 839), (0, 841), (1, 839), (1, 1), (1, 841)])
def test_a_deflated_chunk_of_another_size_is_refused(mask, size, behind):
    after = (FLETCHER,) if behind else ()

    def check(mask, size):
        data = (bytes(size) if mask else zlib.compress(bytes(size))) + behind
        Guarded._check_chunk(Stub(DEFLATE, *after, chunk=(mask, data)), (0, 0), mask, len(data))

    check(mask, 840)
    with pytest.raises(ValueError, match="expected a chunk of 840 bytes"):
        check(mask, size)


@pytest.mark.parametrize("window", [15, 31], ids=["zlib", "gzip"])
def test_only_a_whole_stream_of_the_right_length_is_unpacked(window):
    pump = zlib.compressobj(wbits=window)
    packed = pump.compress(bytes(range(100))) + pump.flush()
    check_deflated(packed, 100, window)
    for data, size in ((packed, 99), (packed, 101), (packed[:-1], 100), (packed + b"x", 100), (b"", 100)):
        with pytest.raises(ValueError, match="expected a"):
            check_deflated(data, size, window)
