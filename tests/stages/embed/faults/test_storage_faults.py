"""A whole run over a storage that is busy, full, restricted or damaged: finished rows are kept, and the error says why.

Cases 4, 13, 36, 39 and 40 of docs/reliability.md; the storage itself is tried in tests/store/faults.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from store import FeatureStore, ObjectBackend, StoreNotWritable, StoreUnreachable, verify
from tests.store.faults.objects.fault_fs import Call, Fault, FaultFS, Plan, busy, expired
from tests.store.files.small_disk import resize, small_disk

SCRIPT = Path(__file__).with_name("slow_embed.py")
CAPTIONS = [f"caption {number}" for number in range(40)]
WANTED = 41  # the empty text too


class Bucket:
    """An object storage for runs of `embed` that commit after each batch of four."""

    def __init__(self) -> None:
        self.prefix = f"/{uuid.uuid4().hex}"

    def settings(self, plan: Plan = lambda _: None) -> dict[str, object]:
        self.files = FaultFS(plan)
        return {"store": FeatureStore(ObjectBackend(self.files, self.prefix, "s3://bucket")), "commit_seconds": 0}

    def rows(self) -> int:
        store = FeatureStore(ObjectBackend(FaultFS(), self.prefix, "s3://bucket"))
        assert verify(store, rows=True) == []
        return sum(len(log.files.read(name).keys) for log in store.logs() for name in log.segments())


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    # `time` is one for all, and the counting encoder sleeps for no time at all.
    monkeypatch.setattr(
        "store.backends.objects.time.sleep", lambda seconds: waited.append(seconds) if seconds else None
    )
    return waited


class FromThirdSegment:
    """Lets the writes of segments fail from the third on, so many times."""

    def __init__(self, error: OSError, times: int) -> None:
        self.error, self.times, self.seen = error, times, set()

    def __call__(self, call: Call) -> Fault | None:
        if call.operation != "pipe_file" or "/segments/zarr" not in call.path:
            return None
        self.seen.add(call.path)
        if len(self.seen) < 3 or not self.times:
            return None
        self.times -= 1
        return Fault(self.error)


def test_a_busy_storage_is_waited_for(album, bucket, pauses):
    album.write(CAPTIONS)
    result = album.embed(settings=bucket.settings(FromThirdSegment(busy(), 5)))
    assert (result.new, result.failed, len(pauses)) == (WANTED, 0, 5)
    assert bucket.rows() == WANTED


def test_a_storage_that_stays_busy_ends_the_run_and_keeps_its_progress(album, bucket, pauses, counting):
    album.write(CAPTIONS)
    with pytest.raises(StoreUnreachable, match=r"reduce your request rate.*run again"):
        album.embed(settings=bucket.settings(FromThirdSegment(busy(), 10**9)))
    assert pauses
    assert bucket.rows() == 8
    assert not album.outputs.matrix.exists()
    counting.encoded.clear()
    assert album.embed(settings=bucket.settings()).cached == 8
    assert len(counting.encoded) == WANTED - 8


def test_credentials_that_expire_during_the_run_end_it_and_keep_its_progress(album, bucket, counting):
    album.write(CAPTIONS)
    with pytest.raises(StoreNotWritable, match=r"token has expired.*renew the credentials"):
        album.embed(settings=bucket.settings(FromThirdSegment(expired(), 10**9)))
    assert bucket.rows() == 8
    counting.encoded.clear()
    assert album.embed(settings=bucket.settings()).cached == 8
    assert len(counting.encoded) == WANTED - 8


def test_a_key_that_may_only_read_is_found_out_before_the_model_is_loaded(album, bucket, counting):
    def denied(call: Call) -> Fault | None:
        return Fault(PermissionError("Access Denied")) if call.writes else None

    album.write(CAPTIONS)
    with pytest.raises(StoreNotWritable, match="ask for this right"):
        album.embed(settings=bucket.settings(denied))
    assert counting.loads == 0
    album.embed(settings=bucket.settings())
    assert counting.loads == 1
    result = album.embed("again.zarr.zip", bucket.settings(denied))  # nothing to write: reading is enough
    assert (result.cached, result.new, counting.loads) == (WANTED, 0, 1)
    assert album.matrix("again.zarr.zip").digest == album.matrix().digest


def test_a_full_disk_ends_the_process_cleanly_and_room_lets_it_go_on(album, tmp_path, counting):
    album.write([f"caption {number}" for number in range(80)])
    with small_disk(tmp_path / "disk", "64k") as disk:
        album.store.symlink_to(disk)
        command = [sys.executable, str(SCRIPT), str(album.root), "0", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1, done.stderr  # and not -11: HDF5 is known to crash on a full disk
        said = done.stderr.splitlines()[-1]
        assert "StoreFull: expected room for" in said
        assert str(album.store) in said
        store = FeatureStore(album.store)
        assert verify(store, rows=True) == []
        kept = sum(len(log.files.read(name).keys) for log in store.logs() for name in log.segments())
        assert 8 <= kept < 81
        assert list(disk.rglob(".tmp-*")) == []
        resize(disk, "size=4m")
        result = album.embed()
        assert (result.cached, result.new) == (kept, 81 - kept)
        assert len(counting.encoded) == 81 - kept


@pytest.mark.parametrize("damage", ["flipped", "empty", "gone"])
def test_damage_that_the_remembered_keys_hide_is_computed_again(album, tmp_path, damage):
    album.write(CAPTIONS)
    settings = {"store": FeatureStore(album.store, durability="none", cache=tmp_path / "cache"), "commit_seconds": 0}
    album.embed(settings=settings)
    damaged = album.segments()[0]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    if damage == "gone":
        damaged.unlink()
    else:
        damaged.write_bytes(data if damage == "flipped" else b"")
    # What was flipped is right in size, and found out only when its vectors are read.
    result = album.embed("again.zarr.zip", settings)
    assert 1 <= result.new <= 4
    assert album.matrix("again.zarr.zip").digest == album.matrix().digest
    assert verify(FeatureStore(album.store), rows=True) == []
