"""Compaction: fewer files, the same rows, and nothing retired before its successor was read back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from store import CorruptSegment, FeatureStore, InvalidRequest, conflicts, verify
from store.care.compaction import compact
from store.care.garbage import list_trash, restore


def append_parts(log, keys, vectors, size, **provenance):
    for start in range(0, len(keys), size):
        log.append(keys[start : start + size], vectors[start : start + size], provenance)


def read_all(log, keys):
    located = log.locate(keys)
    assert located.found.all()
    return log.read(located, slice(None))


def test_small_segments_become_one_and_the_rows_stay(store, log, make_rows):
    keys, vectors = make_rows(0, 60)
    append_parts(log, keys, vectors, 10, device="cpu")
    located = log.locate(keys)  # by a reader who does not know of what follows
    (merge,) = compact(store, apply=True)
    assert (merge.rows, len(merge.inputs), log.segments()) == (60, 6, [merge.output])
    np.testing.assert_array_equal(log.read(located, slice(None)), vectors)
    np.testing.assert_array_equal(read_all(log, keys), vectors)
    assert verify(store, rows=True) == []
    assert compact(store, apply=True) == []


def test_a_dry_run_changes_nothing(store, log, make_rows):
    append_parts(log, *make_rows(0, 20), 10)
    before = log.segments()
    (merge,) = compact(store)
    assert (merge.output, sorted(merge.inputs), log.segments()) == ("", before, before)
    assert not (Path(store.address) / "trash").exists()


def test_rows_of_different_origin_stay_apart(store, log, make_rows):
    keys, vectors = make_rows(0, 40)
    append_parts(log, keys[:20], vectors[:20], 10, device="cpu")
    append_parts(log, keys[20:], vectors[20:], 10, device="cuda")
    compact(store, apply=True)
    origins = {log.files.read(name).provenance["device"]: log.files.read(name).keys for name in log.segments()}
    assert {device: len(found) for device, found in origins.items()} == {"cpu": 20, "cuda": 20}
    assert {key.tobytes() for key in origins["cpu"]} == {key.tobytes() for key in keys[:20]}


def test_the_winner_of_two_rows_is_the_same_before_and_after(store, log, make_rows):
    keys, vectors = make_rows(0, 10)
    for number in range(3):
        log.append(keys, vectors + np.float32(number * 1e-6), {})
    before = read_all(log, keys)
    assert sum(conflict.rows for conflict in conflicts(store)) == 20
    (merge,) = compact(store, apply=True)
    np.testing.assert_array_equal(read_all(log, keys), before)
    assert len(log.files.read(merge.output).keys) == 10
    assert conflicts(store) == []


def test_large_segments_are_left_alone_and_the_target_is_kept(store, log, make_rows):
    keys, vectors = make_rows(0, 100)
    log.append(keys[:40], vectors[:40], {})
    append_parts(log, keys[40:], vectors[40:], 10)
    merges = compact(store, apply=True, target_rows=40)
    assert [merge.rows for merge in merges] == [40, 20]
    assert sorted(name.rows for name, _ in log.files.entries()) == [20, 40, 40]
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_rows_that_came_together_stay_together(store, log, make_rows):
    keys, vectors = make_rows(0, 60)
    for part in range(12):
        name = log.append(keys[part * 5 : part * 5 + 5], vectors[part * 5 : part * 5 + 5], {})
        os.utime(Path(log.shown) / "segments" / name, (part, part))  # a file system may not tell them apart
    merges = compact(store, apply=True, target_rows=20)
    found = {frozenset(map(bytes, log.files.read(merge.output).keys)) for merge in merges}
    assert found == {frozenset(map(bytes, keys[start : start + 20])) for start in (0, 20, 40)}


def test_a_damaged_segment_is_left_for_repair(store, log, make_rows):
    keys, vectors = make_rows(0, 30)
    append_parts(log, keys, vectors, 10)
    damaged = log.segments()[1]
    path = Path(log.shown) / "segments" / damaged
    path.write_bytes(path.read_bytes()[:-3] + b"???")
    (merge,) = compact(store, apply=True)
    assert damaged not in merge.inputs
    assert damaged in log.segments()
    assert log.locate(keys).found.sum() == 20


def test_two_janitors_write_the_same_file(store, log, make_rows):
    keys, vectors = make_rows(0, 40)
    append_parts(log, keys, vectors, 10)
    other = FeatureStore(store.address, segment_format=store.segment_format, durability="none")
    outputs = []
    threads = [
        threading.Thread(target=lambda who=who: outputs.extend(compact(who, apply=True))) for who in (store, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({merge.output for merge in outputs if merge.output}) == 1
    np.testing.assert_array_equal(read_all(log, keys), vectors)
    assert len(log.segments()) == 1


@pytest.mark.parametrize("step", range(8))
def test_stopped_at_any_step_nothing_is_lost_and_the_next_run_completes(store, log, make_rows, monkeypatch, step):
    keys, vectors = make_rows(0, 50)
    append_parts(log, keys, vectors, 10)
    steps = []

    def stopping(action):
        def act(*args, **kwargs):
            steps.append(action)
            if len(steps) > step:
                raise KeyboardInterrupt
            return action(*args, **kwargs)

        return act

    with monkeypatch.context() as patch:
        for name in ("publish", "move", "now"):
            patch.setattr(store.backend, name, stopping(getattr(store.backend, name)))
        if step < 7:
            with pytest.raises(KeyboardInterrupt):
                compact(store, apply=True)
        else:
            compact(store, apply=True)  # publish, now, five moves: the last of these cases runs through
    np.testing.assert_array_equal(read_all(log, keys), vectors)
    compact(store, apply=True)
    assert len(log.segments()) == 1
    np.testing.assert_array_equal(read_all(log, keys), vectors)
    assert verify(store, rows=True) == []


def test_a_merged_segment_that_does_not_read_back_keeps_its_inputs(store, log, make_rows, monkeypatch):
    append_parts(log, *make_rows(0, 20), 10)
    before = set(log.segments())
    publish = store.backend.publish

    def lying(path, data, *, heal=False):
        publish(path, data[:-1] + bytes([data[-1] ^ 1]), heal=heal)

    monkeypatch.setattr(store.backend, "publish", lying)
    with pytest.raises(CorruptSegment):
        compact(store, apply=True)
    assert before < set(log.segments())


def test_reading_goes_on_during_compaction(tmp_path, fingerprint, make_rows):
    store = FeatureStore(tmp_path, durability="none", cache=tmp_path / "cache")
    keys, vectors = make_rows(0, 200)
    log = store.open(fingerprint, 6, "float32")
    append_parts(log, keys, vectors, 5)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                np.testing.assert_array_equal(read_all(FeatureStore(tmp_path).logs()[0], keys), vectors)
            except Exception as error:  # noqa: BLE001 (whatever it is, the test fails with it)
                wrong.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for target in (10, 20, 40, 80, 400):
        compact(store, apply=True, target_rows=target)
    stop.set()
    for reader in readers:
        reader.join(60)
    assert wrong == []
    assert len(log.segments()) < 5


def test_what_was_retired_can_be_restored(store, log, make_rows):
    append_parts(log, *make_rows(0, 20), 10)
    before = set(log.segments())
    compact(store, apply=True)
    trashed = list_trash(store.backend, store.backend.now())
    assert {each.origin.rpartition("/")[2] for each in trashed} == before
    day = trashed[0].path.split("/")[1]
    assert len(restore(store.backend, day)) == 2
    assert before < set(log.segments())
    with pytest.raises(InvalidRequest, match="trash of: no day"):
        restore(store.backend, day)
