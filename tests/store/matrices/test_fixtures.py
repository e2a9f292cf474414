"""Matrices that earlier versions wrote are read for ever: every value below is what was written, none is computed."""

from __future__ import annotations

import hashlib
import json
import runpy
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import CorruptMatrix, open_matrix, write_matrix
from tests.store.matrices.samples import rezip

NAMED = "matrix-v1-named.zarr.zip"
DOCUMENT = "vectors/zarr.json"
NAMES = {
    "vectors": ["item", "dimension"], "missing_vector": ["dimension"], "present": ["item"], "ok": ["item"],
    "ids_utf8": ["id_byte"], "ids_offsets": ["id_end"],
}  # fmt: skip
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
SHA256 = {
    "matrix-v1.zarr.zip": "a2e9eae594ecbc4e82fd44eb145c5aae22989cc67ad024db092f505ec7f9df0c",
    "matrix-v1.h5": "423d215a893e5254617ec155d107f27f4f869cfd505ee0ef670ed3b6b823f8bc",
    "matrix-v1-named.zarr.zip": "d40cbd4834e9098d9e6229cc79a7f12e718cec71fb977d206da9e4e724621657",
}


@pytest.mark.parametrize("name", SHA256)
def test_the_file_is_the_one_that_was_written(name: str) -> None:
    assert hashlib.sha256((FIXTURES / name).read_bytes()).hexdigest() == SHA256[name]


@pytest.mark.parametrize("name", ["matrix-v1-named.zarr.zip", "matrix-v1.h5"])
def test_version_1_is_still_written_byte_by_byte(tmp_path: Path, name: str) -> None:
    if name.endswith(".h5") and (h5py.__version__, h5py.version.hdf5_version) != ("3.16.0", "2.0.0"):
        pytest.skip("another HDF5 lays the same content out in other bytes")
    script = runpy.run_path(str(FIXTURES / "write_matrix_v1.py"))
    write_matrix(tmp_path / name, script["HEADER"], [script["BLOCK"]], chunk_rows=2)
    assert (tmp_path / name).read_bytes() == (FIXTURES / name).read_bytes()


def test_names_of_dimensions_are_all_that_a_zarr_matrix_has_got_since() -> None:
    with zipfile.ZipFile(FIXTURES / "matrix-v1.zarr.zip") as old, zipfile.ZipFile(FIXTURES / NAMED) as new:
        assert old.namelist() == new.namelist()
        for member in old.namelist():
            if not member.endswith("/zarr.json"):
                assert old.read(member) == new.read(member)
                continue
            document = json.loads(new.read(member))
            assert document.pop("dimension_names") == NAMES[member.removesuffix("/zarr.json")]
            assert document == json.loads(old.read(member))


def test_other_names_of_dimensions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.zarr.zip"
    path.write_bytes((FIXTURES / NAMED).read_bytes())
    rezip(path, lambda members: members.update({DOCUMENT: members[DOCUMENT].replace(b'"dimension"', b'"feature"')}))
    with pytest.raises(CorruptMatrix, match="plain vectors, found other metadata"):
        open_matrix(path)


@pytest.mark.parametrize("name", SHA256)
def test_version_1_is_read(name: str) -> None:
    matrix = open_matrix(FIXTURES / name)
    assert (len(matrix), matrix.dim, matrix.dtype) == (5, 3, "float16")
    assert matrix.ids == ["plain", "é", "日本", "two words", "x/../y"]
    assert matrix.present.tolist() == [True, True, True, False, True]
    assert matrix.ok.tolist() == [True, True, True, True, False]
    assert matrix.usable.tolist() == [True, True, True, False, False]
    assert matrix.missing_vector.tolist() == [0.5, -0.25, 0.0]
    assert matrix.digest == "2ed8aa2211ce71f86a6843be17d69c7fcfed1aafec0aa5d63714c573431fd0ef"
    assert matrix.attributes == {
        "encoder": "fixture",
        "nested": {"list": [1, 2.5, None, True]},
        "format_version": 1,
        "min_reader": 1,
        "rows": 5,
        "dim": 3,
        "dtype": "float16",
        "digest": "2ed8aa2211ce71f86a6843be17d69c7fcfed1aafec0aa5d63714c573431fd0ef",
        "block_digests": ["e153e113ad4eb36d9a0d1ae83f6a3f357e18f8b72f697166e150a8ff3f3ef8e1"],
        "complete": True,
    }
    vectors = matrix[:]
    assert vectors.dtype == np.float16
    assert vectors.tolist() == [
        [1.0, 2.0, 3.0],
        [-1.0, 0.5, 65504.0],
        [0.0999755859375, 5.960464477539063e-08, -0.0],
        [0.5, -0.25, 0.0],
        [0.5, -0.25, 0.0],
    ]
    assert np.signbit(vectors[2, 2])
    assert matrix.rows(np.array([4, 1, 1])).tolist() == [[0.5, -0.25, 0.0], [-1.0, 0.5, 65504.0], [-1.0, 0.5, 65504.0]]
