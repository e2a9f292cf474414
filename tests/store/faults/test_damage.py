"""Segments that were damaged, and segments that disagree: cases 13, 14 and 24 of docs/reliability.md."""

from __future__ import annotations

import numpy as np
import pytest

from store import CorruptSegment, FeatureStore
from tests.store.care.sound import assert_store_ok, damaged_copies, model_of

DIM = 6


def test_no_flipped_byte_and_no_truncation_is_silent_and_the_other_segments_stay_usable(store, fingerprint, halves):
    keys, vectors, (first, _) = halves
    good = first.read_bytes()
    for data in damaged_copies(good):
        first.write_bytes(data)
        log = store.open(fingerprint, DIM, "float32")
        found = log.locate(keys)
        assert found.corrupt == (first.name,)
        assert found.found.tolist() == [False] * 10 + [True] * 10
        np.testing.assert_array_equal(log.read(found, slice(10, 20)), vectors[10:])
        with pytest.raises(CorruptSegment, match=first.name):
            log.files.read(first.name)
    assert_store_ok(store, model_of(keys, vectors), damaged={first.name})
    assert store.open(fingerprint, DIM, "float32").append(keys[:10], vectors[:10], {}) == first.name
    assert first.read_bytes() == good
    assert len(assert_store_ok(store, model_of(keys, vectors))) == 20


def test_damage_that_a_remembered_key_table_hides_from_the_lookup_is_seen_by_the_read(
    store, fingerprint, halves, tmp_path
):
    keys, vectors, (first, _) = halves
    cached = FeatureStore(store.backend, cache=tmp_path / "cache")
    assert cached.open(fingerprint, DIM, "float32").locate(keys).found.all()
    good = first.read_bytes()
    for data in [copy for copy in damaged_copies(good)[:200:10] if len(copy) == len(good)]:
        first.write_bytes(data)
        log = cached.open(fingerprint, DIM, "float32")
        found = log.locate(keys)
        if found.corrupt == ():  # the first time: the size is right, and the keys are known
            assert found.found.all()
            with pytest.raises(CorruptSegment, match=first.name):
                log.read(found, slice(None))
            found = log.locate(keys)
        assert found.corrupt == (first.name,)
        np.testing.assert_array_equal(log.read(found, slice(10, 20)), vectors[10:])
    first.write_bytes(good)
    assert len(assert_store_ok(store, model_of(keys, vectors))) == 20


def test_no_flipped_byte_is_silent_where_a_lookup_reads_the_keys_alone(cloud, make_rows):
    keys, vectors = make_rows(0, 20)
    store, files = cloud.client()
    log = cloud.log(store)
    names = [log.append(keys[start : start + 10], vectors[start : start + 10], {}) for start in (0, 10)]
    (path,) = [name for name in cloud.names() if name.endswith(names[0])]
    good = files.inner.cat_file(path)
    told_by_the_read = 0
    for data in damaged_copies(good):
        files.inner.pipe_file(path, data)
        log = cloud.log(store)
        found = log.locate(keys)
        if not found.corrupt:
            told_by_the_read += 1
            with pytest.raises(CorruptSegment, match=names[0]):
                log.read(found, np.flatnonzero(found.found))
            found = log.locate(keys)
        assert found.corrupt == (names[0],)
        assert found.found.tolist() == [False] * 10 + [True] * 10
        np.testing.assert_array_equal(log.read(found, slice(10, 20)), vectors[10:])
    assert 0 < told_by_the_read < 200
    assert log.append(keys[:10], vectors[:10], {}) == names[0]
    assert cloud.kept() == 20


# Two vectors for one key


def test_writers_of_nearly_equal_vectors_are_settled_alike_by_every_reader(store, fingerprint, make_rows, tmp_path):
    keys, vectors = make_rows(0, 10)
    for number in range(4):
        format_ = ("zarr.zip", "h5")[number % 2]
        writer = FeatureStore(store.backend, segment_format=format_).open(fingerprint, DIM, "float32")
        writer.append(keys, vectors + np.float32(number * 1e-6), {"writer": number})
    answers = []
    for client in (store, FeatureStore(store.backend, cache=tmp_path / "cache")):
        for _ in range(2):
            log = client.open(fingerprint, DIM, "float32")
            found = log.locate(keys)
            answers.append(log.read(found, slice(None)))
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
    # Which one wins follows from the vectors: the same rows in one segment more change nothing.
    order = np.random.default_rng(0).permutation(10)
    store.open(fingerprint, DIM, "float32").append(keys[order], answers[0][order], {"again": True})
    assert len(assert_store_ok(store, model_of(keys, answers[0]))) == 10
