"""A store written by the first version is read for ever: keys, vectors, fingerprint and provenance."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

import tests
from store import FeatureStore, Fingerprint, content_key, key_array, list_encoders, verify

FIXTURE = Path(tests.__file__).parent / "fixtures" / "store-v1"
RECORD = {"weights": "sha256:00", "numeric_contract": "exact", "pooling": "mean"}
KEYS = key_array(
    [
        bytes.fromhex("7dcf33cd9a6bc992b39728fdd7d34b63eee5a29bf7fb8f475c6eac71d5cd36e8"),
        bytes.fromhex("144a5111123bc4110d1a3f8d062f422755ad63bf456e15a200ead9f6520b7463"),
        bytes.fromhex("fc2170bda60b76347c5b3fdf544696e1236954ecc9c37cdcb7ee132d7399093a"),
    ]
)
VECTORS = np.array([[1, -2, 0.5], [0, 65504, -0.0], [6e-8, 3, 4]], dtype="float16")


def test_the_rows_are_those_that_were_written():
    store = FeatureStore(FIXTURE)
    log = store.open(Fingerprint.of("fixture", RECORD), 3, "float16")
    located = log.locate(KEYS)
    assert located.found.all()
    assert log.read(located, slice(None)).tobytes() == VECTORS.tobytes()  # also the sign of zero
    assert [log.files.read(name).provenance for name in log.segments()] == [
        {"device": "cpu", "format": "h5"},
        {"device": "cpu", "format": "zarr.zip"},
    ]
    assert verify(store, rows=True) == []


def test_keys_and_fingerprint_are_made_as_they_were():
    texts = ("one", "two", "drei \U0001f916")
    np.testing.assert_array_equal(key_array([content_key("text", text.encode()) for text in texts]), KEYS)
    (summary,) = list_encoders(FeatureStore(FIXTURE))
    assert summary.fingerprint == "74eb5409450a096fc7a7dab8658bc67a1ee6347545b287e8f991810ca3a7bc29"
    assert (summary.encoder, summary.dim, summary.dtype, summary.segments, summary.rows) == (
        "fixture",
        3,
        "float16",
        2,
        3,
    )


def test_todays_writer_adds_to_it_and_writes_the_same_bytes(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "store")
    for segment_format, rows in (("zarr.zip", [0, 1]), ("h5", [2])):
        store = FeatureStore(tmp_path / "store", segment_format=segment_format)
        log = store.open(Fingerprint.of("fixture", RECORD), 3, "float16")
        if segment_format == "zarr.zip":  # of h5 the library's version may change the bytes, and no reader minds
            log.append(KEYS[rows], VECTORS[rows], {"device": "cpu", "format": segment_format})
            assert len(log.segments()) == 2
        log.append(KEYS[rows], VECTORS[rows], {"device": "cuda"})
        assert log.read(log.locate(KEYS), slice(None)).tobytes() == VECTORS.tobytes()
    assert verify(FeatureStore(tmp_path / "store"), rows=True) == []
