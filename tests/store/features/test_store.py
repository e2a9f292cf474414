"""The contract of the store, for both formats: found or missing, never wrong."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np
import pytest

from store import (
    EncoderLog,
    FeatureStore,
    Fingerprint,
    InvalidVectors,
    StoreError,
    UnsupportedStore,
    locate,
    row_problems,
)
from store.features import log as log_module
from store.features import segment_files as segment_files_module
from store.features.index import KeyTable, Locations
from store.segments.segment import read_segment

DIM = 6


def read_all(log: EncoderLog, keys: np.ndarray) -> np.ndarray:
    return log.read(log.locate(keys), slice(None))


def test_an_empty_store_finds_nothing_and_makes_nothing(store, log, make_keys):
    found = log.locate(make_keys(0, 3))
    assert found.found.tolist() == [False] * 3
    assert (found.names, found.corrupt, log.segments(), log.compared) == ((), (), [], False)
    assert store.logs() == []
    assert not store.exists()


def test_rows_come_back_in_any_order_from_any_client(store, log, fingerprint, make_rows):
    keys, vectors = make_rows(0, 50)
    for start in range(0, 50, 10):
        log.append(keys[start : start + 10], vectors[start : start + 10], {"batch": start})
    order = np.random.default_rng(0).permutation(50)
    for client in (log, store.open(fingerprint, DIM, "float32")):
        np.testing.assert_array_equal(read_all(client, keys[order]), vectors[order])
        assert client.compared
    assert len(log.segments()) == 5


def test_missing_and_repeated_keys(log, make_rows, make_keys):
    keys, vectors = make_rows(0, 10)
    log.append(keys, vectors, {})
    asked = np.concatenate([make_keys(8, 12), keys[:1], keys[:1]])
    found = log.locate(asked)
    assert found.found.tolist() == [True, True, False, False, True, True]
    assert (found.segment[2], found.row[2]) == (-1, -1)
    np.testing.assert_array_equal(log.read(found, np.array([5, 0, 4])), vectors[[0, 8, 0]])
    with pytest.raises(StoreError, match=r"2 missing ones \(the first at 2"):
        log.read(found, slice(None))
    assert log.locate(asked[:0]).found.shape == (0,)
    assert log.read(found, slice(0, 0)).shape == (0, DIM)


def test_appending_the_same_rows_again_adds_nothing(log, make_rows):
    keys, vectors = make_rows(0, 10)
    name = log.append(keys, vectors, {"gpu": "x"})
    assert log.append(keys[::-1].copy(), vectors[::-1].copy(), {"gpu": "x"}) == name
    assert log.segments() == [name]


def test_many_rows_are_split_into_segments(log, make_rows, monkeypatch):
    monkeypatch.setattr(log_module, "rows_per_segment", lambda *_: 7)
    keys, vectors = make_rows(0, 30)
    assert log.append(keys, vectors, {}) in log.segments()
    assert len(log.segments()) == 5
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_reading_holds_two_segments_and_reads_each_once(log, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 60)
    for start in range(0, 60, 10):
        log.append(keys[start : start + 10], vectors[start : start + 10], {})
    located = log.locate(keys)
    opened = []
    monkeypatch.setattr(
        segment_files_module, "read_segment", lambda *where: opened.append(where[-1]) or read_segment(*where)
    )
    for start in range(0, 60, 5):
        np.testing.assert_array_equal(log.read(located, slice(start, start + 5)), vectors[start : start + 5])
    assert len(opened) == 6
    assert len(log._kept) == 2


def test_both_formats_live_in_one_store(tmp_path, fingerprint, make_rows):
    keys, vectors = make_rows(0, 20)
    for number, kind in enumerate(["zarr.zip", "h5"]):
        part = slice(number * 10, number * 10 + 10)
        client = FeatureStore(tmp_path, segment_format=kind, durability="none").open(fingerprint, DIM, "float32")
        client.append(keys[part], vectors[part], {})
    np.testing.assert_array_equal(read_all(client, keys), vectors)


def test_full_durability_works_too(tmp_path, fingerprint, make_rows):
    keys, vectors = make_rows(0, 5)
    log = FeatureStore(tmp_path / "s").open(fingerprint, DIM, "float32")
    log.probe_writable()
    log.append(keys, vectors, {})
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_a_url_is_refused_as_wrong_input():
    with pytest.raises(UnsupportedStore, match="put credentials into the environment") as caught:
        FeatureStore("s3://key:secret@bucket/path")
    assert caught.value.exit_code == 2
    assert "secret" not in str(caught.value)


# What may be stored


def bad_rows(vectors: np.ndarray) -> dict[str, np.ndarray]:
    overflow = vectors.copy()
    overflow[3, 1] = np.inf
    zero = vectors.copy()
    zero[3] = 0
    return {
        "non-finite in row 3": overflow,
        "zero vector in row 3": zero,
        "one vector of 6": vectors[:, :5],
        "for each of 10": vectors[:9],
        "<f8": vectors.astype("f8"),
        ">f4": vectors.astype(">f4"),
        "not contiguous": np.asfortranarray(vectors),
        "list": vectors.tolist(),
    }


@pytest.mark.parametrize("message", bad_rows(np.ones((10, 6), "f4")))
def test_bad_rows_are_refused_before_anything_is_written(store, log, make_rows, message):
    keys, vectors = make_rows(0, 10)
    with pytest.raises(InvalidVectors, match=message):
        log.append(keys, bad_rows(vectors)[message], {})
    assert not store.exists()


def test_bad_keys_and_no_rows_are_refused(store, log, make_rows):
    keys, vectors = make_rows(0, 10)
    twice = keys.copy()
    twice[7] = twice[2]
    for wrong, message in ((twice, "row 7"), (keys[:, :16], "uint8"), (keys.astype("i4"), "uint8")):
        with pytest.raises(InvalidVectors, match=message):
            log.append(wrong, vectors, {})
    with pytest.raises(InvalidVectors, match="at least 1"):
        log.append(keys[:0], vectors[:0], {})
    with pytest.raises(TypeError):
        log.append(keys, vectors, {"x": object()})
    with pytest.raises(InvalidVectors):
        log.locate(keys[:, :4])
    assert not store.exists()


def test_a_number_too_large_for_half_precision_is_refused(store, fingerprint, make_rows):
    keys, vectors = make_rows(0, 4)
    vectors[2, 0] = 70_000
    half = store.open(fingerprint, DIM, "float16")
    with np.errstate(over="ignore"), pytest.raises(InvalidVectors, match="non-finite in row 2"):
        half.append(keys, vectors.astype("f2"), {})


def test_row_problems_names_each_row():
    vectors = np.array([[1, 2], [0, 0], [np.nan, 0], [np.inf, 1], [0, 1e-45]], dtype="f4")
    assert row_problems(vectors).tolist() == ["", "zero vector", "non-finite", "non-finite", ""]
    assert row_problems(vectors[:0]).shape == (0,)


# Two vectors for one key


def test_the_winner_does_not_depend_on_order(log, make_rows):
    keys, vectors = make_rows(0, 10)
    for number in range(3):
        log.append(keys, vectors + np.float32(number * 1e-6), {"writer": number})
    segments = [(name, log.files.read(name)) for name in log.segments()]
    answers = []
    for order in itertools.permutations(segments):
        found = locate(keys, [(name, KeyTable.of(segment.keys, segment.row_digests)) for name, segment in order])
        rows = [dict(order)[found.names[s]].vectors[r] for s, r in zip(found.segment, found.row, strict=True)]
        answers.append(np.array(rows))
        digests = np.stack([s.row_digests[np.argmax((s.keys == keys[0]).all(axis=1))] for _, s in segments])
        chosen = dict(order)[found.names[found.segment[0]]].row_digests[found.row[0]]
        assert chosen.tobytes() == min(digest.tobytes() for digest in digests)
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
    np.testing.assert_array_equal(read_all(log, keys), answers[0])


# Damage


def test_a_damaged_segment_costs_its_rows_and_nothing_else(log, make_rows, caplog):
    keys, vectors = make_rows(0, 20)
    first = log.append(keys[:10], vectors[:10], {})
    log.append(keys[10:], vectors[10:], {})
    path = Path(log.shown) / "segments" / first
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING, "diptych.store"):
        found = log.locate(keys)
    assert found.found.tolist() == [False] * 10 + [True] * 10
    assert found.corrupt == (first,)
    assert first in caplog.text
    # The same rows make the same file, which takes the place of the damaged one.
    assert log.append(keys[:10], vectors[:10], {}) == first
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_a_segment_of_another_encoder_is_refused(store, log, make_rows):
    keys, vectors = make_rows(0, 5)
    other = store.open(Fingerprint.of("other", {}), DIM, "float32")
    name = other.append(keys, vectors, {})
    log.append(*make_rows(5, 6), {})
    (Path(log.shown) / "segments" / name).write_bytes((Path(other.shown) / "segments" / name).read_bytes())
    found = log.locate(keys)
    assert not found.found.any()
    assert found.corrupt == (name,)


def test_foreign_files_are_ignored(store, log, make_rows):
    keys, vectors = make_rows(0, 5)
    log.append(keys, vectors, {})
    for name in (".DS_Store", ".nfs0001", "README", ".tmp-host-1-ff", "x.zarr.zip"):
        (Path(log.shown) / "segments" / name).write_bytes(b"?")
    (Path(log.shown) / "segments" / "folder").mkdir()
    (Path(store.address) / "v1" / "README").write_bytes(b"?")
    (Path(store.address) / "v1" / "folder").mkdir()
    (Path(store.address) / "v1" / "link").symlink_to(log.shown)
    np.testing.assert_array_equal(read_all(log, keys), vectors)
    assert [found.fingerprint for found in store.logs()] == [log.fingerprint]


def merge(log: EncoderLog, keys: np.ndarray, vectors: np.ndarray) -> None:
    """Do what compaction will: publish one segment, then retire its inputs."""
    old = log.segments()
    log.append(keys, vectors, {"merged": True})
    for name in old:
        (Path(log.shown) / "segments" / name).unlink()


def test_rows_merged_elsewhere_meanwhile_are_found_again(log, make_rows):
    keys, vectors = make_rows(0, 20)
    log.append(keys[:10], vectors[:10], {})
    log.append(keys[10:], vectors[10:], {})
    located = log.locate(keys)
    merge(log, keys, vectors)
    np.testing.assert_array_equal(log.read(located, np.array([15, 3])), vectors[[15, 3]])


def test_rows_removed_meanwhile_are_an_error_and_not_a_guess(log, make_rows):
    keys, vectors = make_rows(0, 20)
    name = log.append(keys, vectors, {})
    located = log.locate(keys)
    (Path(log.shown) / "segments" / name).unlink()
    with pytest.raises(StoreError, match="removed meanwhile"):
        log.read(located, slice(None))


def test_a_merge_while_locating_costs_nothing(log, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 20)
    log.append(keys[:10], vectors[:10], {})
    log.append(keys[10:], vectors[10:], {})
    names, merged = log.segments(), []

    def read_after_merge(backend, folder, name):
        if name == names[1] and not merged:
            merged.append(True)
            merge(log, keys, vectors)
        return read_segment(backend, folder, name)

    monkeypatch.setattr(segment_files_module, "read_segment", read_after_merge)
    found = log.locate(keys)
    assert found.found.all()
    assert isinstance(found, Locations)
    np.testing.assert_array_equal(log.read(found, slice(None)), vectors)
