"""A folder whose calls fail, whose process dies, whose disk is full or loses its power.

Cases 2, 3, 4, 9, 12, 26 and 40 of docs/reliability.md.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tests
from store import FeatureStore, Fingerprint, StoreFull, StoreNotWritable, UnsupportedStore
from store.files import publish as publish_module
from tests.store.care.sound import assert_store_ok, model_of
from tests.store.faults.folders import kill_points
from tests.store.faults.folders.power_loss import RecordingOs
from tests.store.files.small_disk import resize, small_disk
from tests.store.files.test_publish import FaultyOs

DIM = 6
ROOT = Path(tests.__file__).parents[1]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch):
    """Put something in place of `os` wherever the store writes through it."""

    def put(fake: object) -> None:
        monkeypatch.setattr("store.files.publish.os", fake)
        monkeypatch.setattr("store.backends.local.os", fake)

    yield put
    monkeypatch.undo()


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".tmp-*")]


# Failing calls, and a process that dies


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_each_failing_call_is_an_error_and_a_retry_succeeds(tmp_path, stand_in, fingerprint, make_rows, error):
    keys, vectors = make_rows(0, 10)

    def append(root: Path, fake: FaultyOs) -> None:
        stand_in(fake)
        try:
            FeatureStore(root).open(fingerprint, DIM, "float32").append(keys, vectors, {})
        finally:
            stand_in(os)

    counted = FaultyOs()
    append(tmp_path / "count", counted)
    assert counted.calls.count("fsync") >= 6
    for number in range(1, len(counted.calls) + 1):
        root = tmp_path / str(number)
        with pytest.raises(OSError, match=r"found no|Input/output error"):
            append(root, FaultyOs(fail_at=number, error=error))
        assert_store_ok(FeatureStore(root), model_of(keys, vectors))
        assert temporaries(root) == []
        append(root, FaultyOs())
        assert len(assert_store_ok(FeatureStore(root), model_of(keys, vectors))) == 10


def test_a_process_that_dies_at_any_call_leaves_the_old_state_or_the_new(tmp_path):
    command = [sys.executable, "-m", kill_points.__name__, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    statuses = json.loads(done.stdout)
    assert len(statuses) > 40
    assert set(statuses[:-1]) == {kill_points.DIED}
    model = model_of(*kill_points.rows(0, 20))
    seen = set()
    for number in range(len(statuses)):
        root = tmp_path / str(number)
        kept = len(assert_store_ok(FeatureStore(root), model))
        old = [path for path in (root / "v1/old", root / "trash/2026-01-01/old") if path.exists()]
        seen.add((kept, len(old)))
        assert len(temporaries(root)) <= 1
        assert [path.read_bytes() for path in old] == [b"old"]
        log = FeatureStore(root).open(kill_points.FINGERPRINT, kill_points.DIM, "float32")
        log.append(*kill_points.rows(0, 20), {})
        assert len(assert_store_ok(FeatureStore(root), model)) == 20
    assert seen == {(0, 1), (10, 1), (20, 1)}


# Power loss


def test_what_was_told_to_be_stored_survives_a_power_cut_at_any_moment(tmp_path, stand_in, fingerprint, make_rows):
    keys, vectors = make_rows(0, 20)
    root = tmp_path / "root"
    root.mkdir()
    disk = RecordingOs(root)
    stand_in(disk)
    log = FeatureStore(root).open(fingerprint, DIM, "float32")
    for start in (0, 10):
        log.append(keys[start : start + 10], vectors[start : start + 10], {})
        disk.mark()
    stand_in(os)
    count = 0
    for told, state in disk.reboots(tmp_path / "after"):
        kept = assert_store_ok(FeatureStore(state), model_of(keys, vectors))
        assert {key.tobytes() for key in keys[: told * 10]} <= kept
        count += 1
    assert count > 100


def test_folders_that_a_stopped_writer_made_survive_a_power_cut_too(tmp_path, stand_in, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    root = tmp_path / "root"
    root.mkdir()
    disk = RecordingOs(root)
    for folder in ("v1", f"v1/{fingerprint.folder}"):
        disk.mkdir(root / folder)  # and was stopped before it synced either of them
    stand_in(disk)
    FeatureStore(root).open(fingerprint, DIM, "float32").append(keys, vectors, {})
    disk.mark()
    stand_in(os)
    checked = 0
    for told, state in disk.reboots(tmp_path / "after"):
        if told:
            assert len(assert_store_ok(FeatureStore(state), model_of(keys, vectors))) == 10
            checked += 1
    assert checked == 4


def test_the_model_of_power_loss_can_fail(tmp_path, stand_in, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    root = tmp_path / "root"
    root.mkdir()
    disk = RecordingOs(root)
    stand_in(disk)
    FeatureStore(root, durability="none").open(fingerprint, DIM, "float32").append(keys, vectors, {})
    disk.mark()
    stand_in(os)
    lost = 0
    for told, state in disk.reboots(tmp_path / "after"):
        log_folder = state / "v1" / fingerprint.folder / "segments"
        files = [path for path in log_folder.glob("zarr*") if path.stat().st_size] if log_folder.exists() else []
        lost += bool(told) and not files
    assert lost == 3  # all but the lucky reboot that kept both names and bytes


# Visibility


def test_readers_see_all_or_nothing_while_a_publisher_pauses(tmp_path, monkeypatch, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    FeatureStore(tmp_path).open(fingerprint, DIM, "float32").append(keys[:1], vectors[:1], {})
    before_name, after_name, go_on = threading.Event(), threading.Event(), threading.Event()
    give_name, sync = publish_module._give_name, publish_module.sync

    def paused_name(*arguments):
        before_name.set()
        assert go_on.wait(30)
        go_on.clear()
        give_name(*arguments)

    def paused_sync(path, durability):
        if not after_name.is_set() and path.name == "segments" and before_name.is_set():
            after_name.set()
            assert go_on.wait(30)
        sync(path, durability)

    log = FeatureStore(tmp_path).open(fingerprint, DIM, "float32")
    log.append(keys[1:2], vectors[1:2], {})  # its record and folders are made
    monkeypatch.setattr(
        publish_module, "_give_name", lambda *a: paused_name(*a) if "zarr" in a[1].name else give_name(*a)
    )
    monkeypatch.setattr(publish_module, "sync", paused_sync)
    writer = threading.Thread(target=log.append, args=(keys[2:], vectors[2:], {}))
    writer.start()
    assert before_name.wait(30)
    assert len(assert_store_ok(FeatureStore(tmp_path), model_of(keys, vectors))) == 2
    assert len(temporaries(tmp_path)) == 1
    go_on.set()
    assert after_name.wait(30)
    assert len(assert_store_ok(FeatureStore(tmp_path), model_of(keys, vectors))) == 10
    go_on.set()
    writer.join(30)
    assert not writer.is_alive()
    assert len(assert_store_ok(FeatureStore(tmp_path), model_of(keys, vectors))) == 10


def test_a_folder_made_anew_on_the_server_is_listed_again(tmp_path, stand_in, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    log = FeatureStore(tmp_path).open(fingerprint, DIM, "float32")
    log.append(keys, vectors, {})

    class Stale(FaultyOs):
        """A network file system whose handle of a folder is out of date, some times."""

        def __init__(self, times: int) -> None:
            super().__init__()
            self.times = times

        def scandir(self, path):
            self.times -= 1
            if self.times >= 0:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return os.scandir(path)

    stand_in(Stale(1))
    assert log.locate(keys).found.all()
    stand_in(Stale(100))
    with pytest.raises(OSError, match="Stale"):
        log.locate(keys)
    stand_in(os)
    assert len(assert_store_ok(FeatureStore(tmp_path), model_of(keys, vectors))) == 10


# Real file systems


def test_a_full_disk_keeps_what_was_stored_and_says_what_is_lacking(tmp_path):
    fingerprint, dim, model = Fingerprint.of("wide", {}), 512, {}
    generator = np.random.default_rng(0)
    with small_disk(tmp_path / "disk", "4m") as disk:
        log = FeatureStore(disk / "store").open(fingerprint, dim, "float32")
        with pytest.raises(  # noqa: PT012 (which append is the one too many depends on the file system)
            StoreFull, match=rf"expected room for \d{{6}} bytes at {disk}.*segments.*free some space"
        ):
            for number in range(50):
                keys = generator.integers(0, 256, (256, 32)).astype(np.uint8)
                vectors = generator.standard_normal((256, dim)).astype("f4")
                log.append(keys, vectors, {"number": number})
                model |= model_of(keys, vectors)
        assert len(model) >= 5 * 256
        assert temporaries(disk) == []
        assert assert_store_ok(FeatureStore(disk / "store"), model) == set(model)
        resize(disk, "size=8m")
        log.append(keys, vectors, {})
        model |= model_of(keys, vectors)
        assert assert_store_ok(FeatureStore(disk / "store"), model) == set(model)


def test_a_store_that_spans_file_systems_needs_no_copy(tmp_path, fingerprint, make_rows):
    keys, vectors = make_rows(0, 20)
    root = tmp_path / "store"
    log = FeatureStore(root).open(fingerprint, DIM, "float32")
    log.append(keys[:10], vectors[:10], {})
    with small_disk(Path(log.shown) / "segments", "1m"):
        assert log.segments() == []
        log.append(keys[10:], vectors[10:], {})
        assert (Path(log.shown) / "segments").stat().st_dev != root.stat().st_dev
        (name,) = log.segments()
        with pytest.raises(UnsupportedStore, match="on one file system, found two"):  # and neither copied nor lost
            log.files.backend.move(f"{log.folder}/segments/{name}", "trash/name")
        assert len(assert_store_ok(FeatureStore(root), model_of(keys, vectors))) == 10
    assert len(assert_store_ok(FeatureStore(root), model_of(keys, vectors))) == 10


def test_a_read_only_disk_is_read_and_refused_before_the_work(tmp_path, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    with small_disk(tmp_path / "disk", "1m") as disk:
        FeatureStore(disk).open(fingerprint, DIM, "float32").append(keys, vectors, {})
        resize(disk, "ro")
        log = FeatureStore(disk, cache=disk / "cache").open(fingerprint, DIM, "float32")
        np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
        with pytest.raises(StoreNotWritable, match="Read-only file system"):
            log.probe_writable()
        with pytest.raises(StoreNotWritable):
            log.append(*make_rows(10, 20), {})
        assert len(assert_store_ok(FeatureStore(disk), model_of(keys, vectors))) == 10
        resize(disk, "rw")
