"""A matrix in a bucket, served by moto over HTTP, reads as one on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3fs

from store import CorruptMatrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix

VECTORS = np.random.default_rng(0).standard_normal((500, 4)).astype("f4")


@pytest.fixture(scope="module")
def bucket() -> Iterator[s3fs.S3FileSystem]:
    server_module = pytest.importorskip("moto.server", reason="moto serves the bucket; it comes with the extra `dev`")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
        files.mkdir("features")
        yield files
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.parametrize("suffix", ["zarr.zip", "h5"])
def test_a_matrix_in_a_bucket_is_read(tmp_path: Path, bucket: s3fs.S3FileSystem, suffix: str) -> None:
    path, url = tmp_path / f"m.{suffix}", f"s3://features/m.{suffix}"
    header = MatrixHeader([f"id{i}" for i in range(500)], 4, "float32", np.zeros(4))
    block = MatrixBlock(VECTORS, np.ones(500, bool), np.ones(500, bool))
    digest = write_matrix(path, header, [block], chunk_rows=100).digest
    bucket.pipe_file(f"features/m.{suffix}", path.read_bytes())
    matrix = open_matrix(url)
    assert (matrix.digest, matrix.mapped, matrix.ids[499]) == (digest, False, "id499")
    rows = np.array([499, 3, 250, 3])
    np.testing.assert_array_equal(matrix.rows(rows), VECTORS[rows])
    np.testing.assert_array_equal(matrix[:], VECTORS)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(VECTORS[120].tobytes())] ^= 1
    bucket.pipe_file(f"features/m.{suffix}", bytes(damaged))
    with pytest.raises(CorruptMatrix, match=url):
        open_matrix(url)
    with pytest.raises(FileNotFoundError):
        open_matrix(f"s3://features/none.{suffix}")
