"""What a run will take is held against real file systems of a few megabytes and against what is left in memory."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from store.errors import RunError
from store.files import room
from store.files.room import available_memory, check_disk, check_memory
from tests.store.files.small_disk import small_disk

MB = 1_000_000


@pytest.fixture(autouse=True)
def _no_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SPARE", 0)  # the disks of these tests are smaller than that


def test_what_does_not_fit_onto_a_real_disk_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        check_disk("embed x", {disk / "not" / "yet": 3 * MB}, "refuse")
        with pytest.raises(RunError, match=r"embed x: expected room for about 6.0 MB .*; found 4.2 MB free; make room"):
            check_disk("embed x", {disk / "not" / "yet": 6 * MB}, "refuse")
        (disk / "ballast").write_bytes(bytes(2 * MB))
        with pytest.raises(RunError, match="PREFLIGHT=warn"):
            check_disk("embed x", {disk: 3 * MB}, "refuse")


def test_folders_of_one_disk_share_its_room_and_others_have_their_own(tmp_path: Path) -> None:
    with small_disk(tmp_path / "a", "4m") as one, small_disk(tmp_path / "b", "4m") as two:
        check_disk("embed x", {one / "matrix": 3 * MB, two / "store": 3 * MB}, "refuse")
        with pytest.raises(RunError, match=r"6.0 MB"):
            check_disk("embed x", {one / "matrix": 3 * MB, one / "store": 3 * MB}, "refuse")


def test_the_policy_says_what_becomes_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_disk("train x", {tmp_path: 1 << 60}, "off")
        check_memory("train x", 1 << 60, "take less", "off")
        assert caplog.text == ""
        check_disk("train x", {tmp_path: 1 << 60}, "warn")
        check_memory("train x", 1 << 60, "take less", "warn")
    assert caplog.text.count("train x: expected") == 2
    with pytest.raises(RunError, match=r"of memory; found .* available; take less"):
        check_memory("train x", 1 << 60, "take less", "refuse")


def test_memory_is_the_least_of_machine_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(room, "_MEMINFO", meminfo)
    monkeypatch.setattr(room, "_CGROUP", tmp_path)
    meminfo.write_text("MemTotal:       8000000 kB\nMemAvailable:   2000000 kB\n")
    assert available_memory() == 2_048_000_000
    for name, content in {
        "memory.max": "900",
        "memory.current": "500",
        "memory.stat": "inactive_file 100\nanon 1\n",
    }.items():
        (tmp_path / name).write_text(content)
    assert available_memory() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 2_048_000_000
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "none")
    assert available_memory() == whole
