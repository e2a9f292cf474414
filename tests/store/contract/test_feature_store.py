"""What the feature store promises, tried on a folder, on `memory://` and on S3: reliability.md case 41."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from store import FeatureStore, FingerprintMismatch, verify
from store.care.compaction import compact
from store.care.garbage import gc, list_trash
from store.segments.segment import SegmentName
from tests.store.care.sound import assert_store_ok, model_of
from tests.store.contract.place import Place

DIM = 6
NOT_OURS = (".DS_Store", ".nfs0000", "Thumbs.db", "README", ".tmp-host-1-ff", "x.zarr.zip", "folder/file")


@pytest.fixture
def open_log(place: Place, fingerprint):
    """Open the log as another client than the one before."""

    def opened(**options):
        return place.store(**options).open(fingerprint, DIM, "float32")

    return opened


def test_rows_are_found_by_other_clients_in_any_order_and_in_both_formats(place, fingerprint, make_rows):
    keys, vectors = make_rows(0, 40)
    for number, format_ in enumerate(["zarr.zip", "h5", "zarr.zip", "h5"]):
        log = place.store(segment_format=format_).open(fingerprint, DIM, "float32")
        part = slice(number * 10, number * 10 + 10)
        name = log.append(keys[part], vectors[part], {"batch": number})
        assert log.append(keys[part], vectors[part], {"batch": number}) == name
    store = place.store()
    assert len(store.open(fingerprint, DIM, "float32").segments()) == 4
    assert assert_store_ok(store, model_of(*make_rows(0, 60))) == set(model_of(keys, vectors))
    order = np.random.default_rng(0).permutation(40)
    log = store.open(fingerprint, DIM, "float32")
    np.testing.assert_array_equal(log.read(log.locate(keys[order]), slice(None)), vectors[order])


def test_opening_and_asking_writes_nothing(place, open_log, make_keys):
    log = open_log()
    assert not log.locate(make_keys(0, 3)).found.any()
    log.probe_writable()
    assert not log.compared
    assert place.store().logs() == []
    assert verify(place.store()) == []
    assert place.names() == []


def damages(good: bytes, other: bytes) -> dict[str, bytes]:
    middle = len(good) // 2
    return {
        "one bit": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "truncated": good[:-1],
        "empty": b"",
        "one byte more": good + b"\0",
        "another segment": other,
    }


@pytest.mark.parametrize("damage", damages(b"ab", b""))
def test_a_damaged_segment_costs_its_rows_until_they_are_stored_again(place, open_log, make_rows, caplog, damage):
    keys, vectors = make_rows(0, 20)
    log = open_log()
    first, second = log.append(keys[:10], vectors[:10], {}), log.append(keys[10:], vectors[10:], {})
    path, other = (f"{log.folder}/segments/{name}" for name in (first, second))
    place.put(path, damages(place.get(path), place.get(other))[damage])
    with caplog.at_level(logging.WARNING, "diptych.store"):
        kept = assert_store_ok(place.store(), model_of(keys, vectors), damaged={first})
    assert kept == set(model_of(keys[10:], vectors[10:]))
    assert first in caplog.text
    # The same rows make the same file, which takes the place of the damaged one.
    assert open_log().append(keys[:10], vectors[:10], {}) == first
    assert len(assert_store_ok(place.store(), model_of(keys, vectors))) == 20


def test_a_segment_under_a_name_that_is_not_its_own_is_not_believed(place, open_log, make_rows):
    keys, vectors = make_rows(0, 10)
    log = open_log()
    good = log.append(keys, vectors, {})
    promised = SegmentName.parse(good)
    data = place.get(f"{log.folder}/segments/{good}")
    place.delete(f"{log.folder}/segments/{good}")
    assert promised.format == "zarr.zip"
    wrong = [
        str(SegmentName(promised.format, 10, len(data), "0" * 64)),
        str(SegmentName(promised.format, 9, len(data), promised.sha256)),
        str(SegmentName(promised.format, 10, len(data) + 1, promised.sha256)),
        str(SegmentName("h5", 10, len(data), promised.sha256)),
    ]
    for name in wrong:
        place.put(f"{log.folder}/segments/{name}", data)
    assert assert_store_ok(place.store(), model_of(keys, vectors), damaged=wrong) == set()


def test_of_two_vectors_for_one_key_every_client_takes_the_same(place, open_log, make_rows):
    keys, vectors = make_rows(0, 10)
    for number in range(3):
        open_log().append(keys, vectors + np.float32(number * 1e-6), {"writer": number})
    log = open_log()
    stored = [log.files.read(name) for name in log.segments()]
    order = np.argsort([key.tobytes() for key in keys])
    # A segment holds its rows sorted by key.
    smallest = np.argmin([[digest.tobytes() for digest in segment.row_digests] for segment in stored], axis=0)
    expected = np.empty_like(vectors)
    expected[order] = np.stack([stored[winner].vectors[row] for row, winner in enumerate(smallest)])
    assert len(set(smallest.tolist())) > 1  # or the rule was not tried
    assert len(assert_store_ok(place.store(), model_of(keys, expected))) == 10
    log = open_log()
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), expected)


def test_files_that_are_not_ours_are_ignored(place, open_log, make_rows):
    keys, vectors = make_rows(0, 5)
    log = open_log()
    log.append(keys, vectors, {})
    for folder in ("", "v1/", f"{log.folder}/", f"{log.folder}/segments/", "v1/somebody/"):
        for name in NOT_OURS:
            place.put(f"{folder}{name}", b"?")
    assert len(assert_store_ok(place.store(), model_of(keys, vectors))) == 5
    assert [each.folder for each in place.store().logs()] == [log.folder]


def records(good: bytes) -> dict[str, bytes | None]:
    return {
        "missing": None,
        "empty": b"",
        "truncated": good[:-1],
        "of another encoder": good.replace(b"sha256:00", b"sha256:01"),
        "a bomb": b"[" * 100_000,
    }


@pytest.mark.parametrize("damage", records(b""))
def test_without_a_good_record_nothing_is_read_or_written(place, open_log, make_rows, damage):
    keys, vectors = make_rows(0, 5)
    log = open_log()
    log.append(keys, vectors, {})
    record = f"{log.folder}/encoder.json"
    good = place.get(record)
    data = records(good)[damage]
    if data is None:
        place.delete(record)
    else:
        place.put(record, data)
    before = place.names()
    with pytest.raises(FingerprintMismatch):
        open_log()
    if data is not None:  # a writer that was there before puts a missing record back, and rightly
        with pytest.raises(FingerprintMismatch):
            log.append(*make_rows(5, 6), {})
    assert place.names() == before
    place.put(record, good)
    assert len(assert_store_ok(place.store(), model_of(keys, vectors))) == 5


def test_a_cache_of_keys_changes_no_answer(open_log, make_rows, tmp_path, monkeypatch):
    keys, vectors = make_rows(0, 20)
    cache = tmp_path / "cache"
    open_log().append(keys[:10], vectors[:10], {})
    open_log(cache=cache).append(keys[10:], vectors[10:], {})
    for _ in range(2):  # filled by the first, used by the second
        log = open_log(cache=cache)
        found = log.locate(keys)
        np.testing.assert_array_equal(log.read(found, slice(None)), vectors)
    with monkeypatch.context() as patch:
        patch.setattr("store.features.segment_files.read_segment", None)  # a lookup that reads no segment
        assert open_log(cache=cache).locate(keys).found.all()


def test_merged_and_thrown_away_segments_lose_no_row(place, open_log, make_rows):
    keys, vectors = make_rows(0, 30)
    log = open_log()
    for start in range(0, 30, 10):
        log.append(keys[start : start + 10], vectors[start : start + 10], {})
    located, before = log.locate(keys), log.segments()
    (merge,) = compact(place.store(), apply=True)
    assert log.segments() == [merge.output]
    assert sorted(name.rpartition("/")[2] for name in place.names() if name.startswith("trash/")) == before
    np.testing.assert_array_equal(log.read(located, slice(None)), vectors)
    assert len(assert_store_ok(place.store(), model_of(keys, vectors))) == 30
    assert gc(place.store(), [make_rows(50, 51)[0]], apply=True) == []  # nobody's rows, and young
    assert len(assert_store_ok(place.store(), model_of(keys, vectors))) == 30
    assert all(each.age < 60 for each in list_trash(place.backend(), place.backend().now()))


def test_the_same_calls_give_the_same_store_everywhere(places, fingerprint, make_rows, segment_format):
    def use(place: Place) -> tuple[object, ...]:
        log = place.store(segment_format=segment_format).open(fingerprint, DIM, "float32")
        for start in range(0, 30, 10):
            keys, vectors = make_rows(start, start + 12)
            log.append(keys, vectors + np.float32(start * 1e-6), {"start": start})
        damaged = log.segments()[1]
        place.put(f"{log.folder}/segments/{damaged}", b"?")
        store: FeatureStore = place.store()
        found = store.open(fingerprint, DIM, "float32").locate(make_rows(0, 60)[0])
        rows = log.read(found, np.flatnonzero(found.found))
        problems = [(each.encoder_folder, each.segment, each.what) for each in verify(store, rows=True)]
        files = [(name, place.get(name)) for name in place.names()]
        return files, found.found.tolist(), found.names, found.row.tolist(), rows.tobytes(), problems

    first, *others = (use(place) for place in places)
    assert len(others) == 2
    for other in others:
        assert other == first
