from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from store import StoreFull, StoreNotWritable, atomic_output, probe_writable
from store.files.publish import publish, sync

DATA = bytes(range(256)) * 40


class FaultyOs:
    """Stands in for `os` in `store.files.publish`: counts the calls that touch the disk and lets one of them fail."""

    WATCHED = ("open", "write", "fsync", "fstat", "link", "replace", "mkdir", "close")

    def __init__(self, fail_at: int | None = None, error: int = errno.EIO) -> None:
        self.calls: list[str] = []
        self._fail_at, self._error = fail_at, error

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in self.WATCHED:
            return real

        def call(*args, **kwargs):
            self.calls.append(name)
            if len(self.calls) == self._fail_at:
                if name == "close":
                    real(*args)  # the descriptor is gone even when close() reports an error
                raise OSError(self._error, os.strerror(self._error))
            return real(*args, **kwargs)

        return call


def faulty(monkeypatch: pytest.MonkeyPatch, **kwargs) -> FaultyOs:
    fake = FaultyOs(**kwargs)
    monkeypatch.setattr("store.files.publish.os", fake)
    return fake


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".tmp-*")]


def test_publishing_is_whole_and_idempotent(tmp_path):
    path = tmp_path / "a" / "b" / "name"
    publish(path, DATA)
    publish(path, DATA)
    assert path.read_bytes() == DATA
    assert os.listdir(path.parent) == ["name"]  # noqa: PTH208
    assert path.stat().st_nlink == 1


def test_other_content_under_the_name_is_kept_unless_healing(tmp_path):
    path = tmp_path / "name"
    path.write_bytes(b"other")
    with pytest.raises(FileExistsError, match="taken by other content"):
        publish(path, DATA)
    assert path.read_bytes() == b"other"
    publish(path, DATA, heal=True)
    assert path.read_bytes() == DATA


def test_healing_replaces_a_link_and_not_what_it_points_to(tmp_path):
    outside, path = tmp_path / "outside", tmp_path / "name"
    outside.write_bytes(DATA)
    path.symlink_to(outside)
    publish(path, DATA, heal=True)
    assert not path.is_symlink()
    outside.write_bytes(b"")
    assert path.read_bytes() == DATA


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_success(tmp_path, monkeypatch):
    fake = faulty(monkeypatch)
    publish(tmp_path / "new" / "name", DATA)
    order = [call for call in fake.calls if call in ("mkdir", "write", "fsync", "link")]
    assert order == ["mkdir", "fsync", "write", "fsync", "link", "fsync"]


def test_no_sync_without_durability(tmp_path, monkeypatch):
    fake = faulty(monkeypatch)
    publish(tmp_path / "name", DATA, durability="none")
    assert "fsync" not in fake.calls


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_every_failing_call_leaves_old_or_new_and_a_retry_succeeds(tmp_path, monkeypatch, error):
    with monkeypatch.context() as patch:
        counted = faulty(patch)
        publish(tmp_path / "count" / "name", DATA)
    for number in range(1, len(counted.calls) + 1):
        path = tmp_path / str(number) / "name"
        with monkeypatch.context() as patch:
            fake = faulty(patch, fail_at=number, error=error)
            with pytest.raises(OSError):  # noqa: PT011 (which one depends on the error, see below)
                publish(path, DATA)
            assert fake.calls[number - 1] == counted.calls[number - 1]
        assert not path.exists() or path.read_bytes() == DATA
        assert temporaries(tmp_path) == []
        publish(path, DATA)
        assert path.read_bytes() == DATA


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that cannot be synced")
def test_a_file_system_that_syncs_no_folders_is_served(tmp_path, monkeypatch):
    sync(Path("/proc/self"), "full")  # as on SMB: EINVAL
    faulty(monkeypatch, fail_at=2, error=errno.EINVAL)
    (tmp_path / "file").write_bytes(DATA)
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "file", "full")


def test_a_failed_sync_is_not_a_success(tmp_path, monkeypatch):
    fake = faulty(monkeypatch, fail_at=3)
    with pytest.raises(OSError, match="Input/output"):
        publish(tmp_path / "name", DATA)
    assert fake.calls[2] == "fsync"
    assert not (tmp_path / "name").exists()


def test_a_full_disk_says_where_and_how_much(tmp_path, monkeypatch):
    faulty(monkeypatch, fail_at=2, error=errno.ENOSPC)
    with pytest.raises(StoreFull, match=f"{len(DATA)} bytes at .*name.*free some space"):
        publish(tmp_path / "name", DATA)


def test_a_read_only_folder_says_so(tmp_path, monkeypatch):
    faulty(monkeypatch, fail_at=1, error=errno.EROFS)
    with pytest.raises(StoreNotWritable, match="no right to"):
        publish(tmp_path / "name", DATA)
    faulty(monkeypatch, fail_at=1, error=errno.EACCES)
    with pytest.raises(StoreNotWritable, match="choose another place"):
        probe_writable(tmp_path)


@pytest.mark.parametrize("error", [errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_a_rename_serves(tmp_path, monkeypatch, error):
    path = tmp_path / "name"
    fake = FaultyOs(fail_at=6, error=error)
    monkeypatch.setattr("store.files.publish.os", fake)
    publish(path, DATA)
    assert fake.calls[5:7] == ["link", "replace"]
    assert path.read_bytes() == DATA
    assert temporaries(tmp_path) == []


def test_a_link_made_although_an_error_came_back_counts(tmp_path, monkeypatch):
    class LostAnswer(FaultyOs):
        @staticmethod
        def link(source, target):
            os.link(source, target)
            raise OSError(errno.ENOENT, "the answer was lost")

    monkeypatch.setattr("store.files.publish.os", LostAnswer())
    publish(tmp_path / "name", DATA)
    assert (tmp_path / "name").read_bytes() == DATA


@pytest.mark.parametrize("portion", [1, 7, 4096])
def test_short_writes_are_continued(tmp_path, monkeypatch, portion):
    class ShortWrites(FaultyOs):
        @staticmethod
        def write(descriptor, data):
            return os.write(descriptor, data[:portion])

    monkeypatch.setattr("store.files.publish.os", ShortWrites())
    publish(tmp_path / "name", DATA[:5000])
    assert (tmp_path / "name").read_bytes() == DATA[:5000]


def test_the_umask_decides_who_may_read(tmp_path):
    before = os.umask(0o002)
    try:
        publish(tmp_path / "folder" / "name", DATA)
    finally:
        os.umask(before)
    assert (tmp_path / "folder" / "name").stat().st_mode & 0o777 == 0o664
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o775


def test_probing_leaves_nothing_behind(tmp_path):
    probe_writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_output_appears_when_the_body_ends_well(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_output(path) as temporary:
        temporary.write_bytes(DATA)
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_bytes() == DATA
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), OSError(errno.EACCES, "a file read inside")])
def test_output_stays_as_it_was_when_the_body_fails(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(type(error)) as caught, atomic_output(path) as temporary:  # noqa: PT012
        temporary.write_bytes(DATA)
        raise error
    assert caught.value is error
    assert path.read_bytes() == b"before"
    assert temporaries(tmp_path) == []


def test_output_on_a_full_disk_says_where_and_how_much(tmp_path):
    with pytest.raises(StoreFull, match="room for 123 bytes"), atomic_output(tmp_path / "file", expected_bytes=123):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
