"""Fixtures of the store's tests: both segment formats, both matrix formats, and rows that look like real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from store import EncoderLog, FeatureStore, Fingerprint, Segment, content_key, key_array
from store.items.keys import sortable
from store.segments.segment import SegmentName, row_digests
from tests.store.backends.moto_server import CREDENTIALS, missing_packages, moto_server

DIM = 6


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    """A real S3 server, started by the first test that asks for it."""
    if missing := missing_packages():
        pytest.skip(f"needs {', '.join(missing)}: pip install -e '.[dev]'")
    with moto_server() as address:
        yield address


@pytest.fixture
def s3(moto_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point every S3 client of this process to the test server, whose address this is."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": moto_address}.items():
        monkeypatch.setenv(name, value)
    return moto_address


@pytest.fixture(params=["zarr.zip", "h5"])
def segment_format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[".zarr.zip", ".h5"])
def matrix_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"matrix{request.param}"


@pytest.fixture
def fingerprint() -> Fingerprint:
    return Fingerprint.of("tiny", {"weights": "sha256:00", "pooling": {"kind": "mean"}})


@pytest.fixture
def store(tmp_path: Path, segment_format: str) -> FeatureStore:
    return FeatureStore(tmp_path / "store", segment_format=segment_format, durability="none")


@pytest.fixture
def log(store: FeatureStore, fingerprint: Fingerprint) -> EncoderLog:
    return store.open(fingerprint, DIM, "float32")


@pytest.fixture
def make_keys() -> Callable[..., np.ndarray]:
    def make(start: int, stop: int) -> np.ndarray:
        return key_array([content_key("test", str(number).encode()) for number in range(start, stop)])

    return make


@pytest.fixture
def make_rows(make_keys: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Rows whose vectors follow from their number, so that any process can tell a wrong one."""

    def make(start: int, stop: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
        numbers = np.arange(start, stop)[:, None]
        vectors = (np.sin(numbers * 1.7 + np.arange(DIM)) + 2).astype(dtype)
        return make_keys(start, stop), vectors

    return make


@pytest.fixture
def make_segment() -> Callable[[np.ndarray, np.ndarray], Segment]:
    def make(keys: np.ndarray, vectors: np.ndarray) -> Segment:
        order = np.argsort(sortable(keys), kind="stable")
        vectors = vectors[order]
        return Segment(keys[order], vectors, row_digests(vectors), {"device": "cpu"}, "ab" * 32)

    return make


@pytest.fixture
def segment(make_segment: Callable[..., Segment], make_rows: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Segment:
    return make_segment(*make_rows(0, 20))


@pytest.fixture
def put_renamed(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Give altered bytes a name that fits them, as a tool or an attacker would."""

    def put(format_: str, data: bytes) -> str:
        name = str(SegmentName(format_, 20, len(data), hashlib.sha256(data).hexdigest()))
        (tmp_path / name).write_bytes(data)
        return name

    return put
