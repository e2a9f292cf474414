"""The record of an encoder's folder: compared in full, and without it nothing is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from store import Fingerprint, FingerprintMismatch, InvalidVectors, canonical_json
from store.features.record import read_record

DIM = 6


def garble(data: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "truncated": data[:-1],
        "another weight": data.replace(b"sha256:00", b"sha256:01"),
        "another dimension": data.replace(b'"dim":6', b'"dim":7'),
        "another dtype": data.replace(b"float32", b"float16"),
        "no version": data.replace(b"min_reader", b"max_reader"),
        "a list": b"[]",
        "a bomb": b"[" * 100_000,
        "a wrong field": data.replace(b'"dim":6', b'"dim":"6"'),
        "no field": b'{"min_reader":1}',
    }


@pytest.mark.parametrize("damage", garble(b""))
def test_a_garbled_record_stops_reading_and_writing(store, log, fingerprint, make_rows, damage):
    keys, vectors = make_rows(0, 5)
    log.append(keys, vectors, {})
    path = Path(log.shown) / "encoder.json"
    path.write_bytes(garble(path.read_bytes())[damage])
    before = log.segments()
    with pytest.raises(FingerprintMismatch):
        store.open(fingerprint, DIM, "float32")
    with pytest.raises(FingerprintMismatch):
        log.append(*make_rows(5, 6), {})
    assert log.segments() == before


def test_segments_without_a_record_are_not_trusted(store, log, fingerprint, make_rows):
    log.append(*make_rows(0, 5), {})
    (Path(log.shown) / "encoder.json").unlink()
    with pytest.raises(FingerprintMismatch, match=r"expected encoder\.json next to the segments"):
        store.open(fingerprint, DIM, "float32")


def test_another_dimension_of_the_same_encoder_names_the_field(store, log, fingerprint, make_rows):
    log.append(*make_rows(0, 5), {})
    with pytest.raises(FingerprintMismatch, match="dim: 7 != 6; dtype: float16 != float32"):
        store.open(fingerprint, 7, "float16")
    for dim, dtype in ((0, "float32"), (6, "float64")):
        with pytest.raises(InvalidVectors):
            store.open(fingerprint, dim, dtype)


def test_two_encoders_whose_folders_collide_are_told_apart(store, log, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 5)
    log.append(keys, vectors, {})
    monkeypatch.setattr(Fingerprint, "folder", property(lambda _: Path(log.folder).name))
    with pytest.raises(FingerprintMismatch, match="weights: 'x' != 'sha256:00'"):
        store.open(Fingerprint.of("tiny", {"weights": "x", "pooling": {"kind": "mean"}}), DIM, "float32")


def test_a_record_nested_too_deeply_is_refused_whoever_notices(store, log, make_rows):
    # Somewhere between these depths the parser is content, and whoever walks through the result is not.
    log.append(*make_rows(0, 5), {})
    path = Path(log.shown) / "encoder.json"
    good = path.read_bytes()
    for depth in [*range(700, 1000), 5_000, 50_000]:
        path.write_bytes(good.replace(b'"mean"', b"[" * depth + b"]" * depth))
        with pytest.raises(FingerprintMismatch):
            read_record(store.backend, log.folder)


def test_plain_data_nested_too_deeply_has_no_text():
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        canonical_json(deep)
