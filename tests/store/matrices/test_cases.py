"""Cases 5, 17, 18 and 81 of the reliability specification, with real files and a real full disk.

Flips and truncations at many places are in `test_matrix_faults`, writers that are killed in `test_matrix_interrupted`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import tests
from store import CorruptMatrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix

HEADER = MatrixHeader([f"id{i}" for i in range(40)], 3, "float32", np.zeros(3))
VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype("f4")
EXPORT = Path(__file__).with_name("full_disk_export.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def write(path: Path) -> str:
    block = MatrixBlock(VECTORS, np.ones(40, bool), np.ones(40, bool))
    return write_matrix(path, HEADER, [block], chunk_rows=10, durability="none").digest


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A folder that a process of its own may cover with a small file system; nothing stays mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system here; test_matrix_interrupted limits the size of files instead")
    return folder


def test_case_5_a_full_disk_at_export(small_disk: Path, matrix_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(tests.__file__).parents[1])}
    command = [*NAMESPACE, sys.executable, str(EXPORT), str(small_disk), matrix_path.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for attempt in ("foreseen", "unforeseen", "fresh"):
        assert found[attempt]["raised"].startswith("StoreFull: expected room for 2"), attempt
        assert "free some space" in found[attempt]["raised"]
        assert found[attempt]["files"] == found["before"]


def without_member(path: Path, name: str) -> None:
    """Take one member out of the directory; every other byte stays where it is, so that the file could be mapped."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.remove(archive.NameToInfo.pop(name))
        archive._didModify = True


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("verify", [True, False])
def test_case_17_a_chunk_that_is_gone_never_reads_as_zeros(tmp_path: Path, number: int, verify: bool) -> None:
    path = tmp_path / "m.zarr.zip"
    write(path)
    without_member(path, f"vectors/c/{number}/0")
    with pytest.raises(CorruptMatrix, match=rf"vectors/c/{number}/0' missing"):
        open_matrix(path, verify=verify)


def test_case_17_a_chunk_of_hdf5_that_is_gone_never_reads_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write(path)
    with h5py.File(path, "r+") as file:  # as a tool leaves it that chunks anew and is killed half-way
        del file["vectors"]
        made = file.create_dataset("vectors", shape=(40, 3), dtype="f4", chunks=(10, 3))
        made[:30] = VECTORS[:30]
    with pytest.raises(CorruptMatrix, match="expected 'vectors' in one piece"):
        open_matrix(path, verify=False)


def test_case_18_a_flipped_bit_in_any_row_is_found(matrix_path: Path) -> None:
    write(matrix_path)
    data = matrix_path.read_bytes()
    for row in range(0, 40, 3):
        damaged = bytearray(data)
        damaged[data.index(VECTORS[row].tobytes()) + 5] ^= 1
        matrix_path.unlink()
        matrix_path.write_bytes(damaged)
        with pytest.raises(CorruptMatrix, match="rows 0 and following do not match"):
            open_matrix(matrix_path)


def test_case_81_a_whole_matrix_that_is_not_the_committed_one(matrix_path: Path) -> None:
    digest = write(matrix_path)
    assert open_matrix(matrix_path, expected_digest=digest).digest == digest
    vectors = VECTORS.copy()
    vectors[0, 0] += 1
    write_matrix(matrix_path, HEADER, [MatrixBlock(vectors, np.ones(40, bool), np.ones(40, bool))], durability="none")
    open_matrix(matrix_path)  # by itself it is sound
    for verify in (True, False):
        with pytest.raises(CorruptMatrix, match=f"expected the digest {digest} that its card states"):
            open_matrix(matrix_path, expected_digest=digest, verify=verify)


def test_case_81_stating_the_committed_digest_does_not_help_a_forger(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    digest = write(path)
    vectors = VECTORS.copy()
    vectors[0, 0] += 1
    write_matrix(path, HEADER, [MatrixBlock(vectors, np.ones(40, bool), np.ones(40, bool))], durability="none")
    with h5py.File(path, "r+") as file:
        file.attrs.modify("digest", np.bytes_(digest.encode()))
    with pytest.raises(CorruptMatrix, match=f"expected the digest {digest}, found"):
        open_matrix(path, expected_digest=digest)
