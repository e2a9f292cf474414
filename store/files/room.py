"""Whether what a run will write and hold has room here: asked before hours are spent; `embed` and `pipeline` ask."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from store.errors import RunError

Policy = Literal["refuse", "warn", "off"]
SPARE = 64 << 20
"""Bytes that a disk keeps free for what is not reckoned (cards, logs, states); of a small disk a fiftieth."""

_LOG = logging.getLogger("diptych.room")
_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
_ANYWAY = 'preflight = "warn" in local.toml (or DIPTYCH_PREFLIGHT=warn) runs all the same'


def check_disk(what: str, needs: Mapping[Path, int], policy: Policy) -> None:
    """Hold what will be written against what is free; folders on one file system share its room.

    Parameters
    ----------
    what : str
        Who asks, as in messages.
    needs : mapping of Path to int
        Folders, which need not exist yet, and the bytes that each will get.
    policy : {"refuse", "warn", "off"}

    Raises
    ------
    RunError
        When there is too little room and the policy says so.
    """
    if policy == "off":
        return
    devices: dict[int, tuple[Path, int]] = {}
    for folder, size in needs.items():
        nearest = existing(folder)
        first, sum_ = devices.get(nearest.stat().st_dev, (nearest, 0))
        devices[nearest.stat().st_dev] = first, sum_ + size
    for folder, size in devices.values():
        disk = shutil.disk_usage(folder)
        if size and disk.total and size + min(SPARE, disk.total // 50) > disk.free:  # /proc and the like have no total
            found = f"found {told(disk.free)} free; make room or name another place; {_ANYWAY}."
            _say(f"{what}: expected room for about {told(size)} on the disk of {folder}; {found}", policy)


def check_memory(what: str, needed: int, advice: str, policy: Policy) -> None:
    """Hold what will be held in memory against what is available.

    Parameters
    ----------
    needed : int
        Bytes, of the least that a run must hold at once.
    advice : str
        What makes it less.

    Raises
    ------
    RunError
        When there is too little memory and the policy says so.
    """
    if policy == "off":
        return
    available = available_memory()
    if available is not None and needed > available:
        _say(
            f"{what}: expected about {told(needed)} of memory; found {told(available)} available; {advice}; {_ANYWAY}.",
            policy,
        )


def _say(message: str, policy: Policy) -> None:
    if policy == "refuse":
        raise RunError(message)
    _LOG.warning("%s", message)


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    folder = folder.expanduser().absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())


def available_memory() -> int | None:
    """Return the bytes that this process can still get, None where the system does not tell.

    The least of what the machine has left and what the container may still take; swap does not count.
    """
    found = [each for each in (_left_in_machine(), _left_in_container()) if each is not None]
    return min(found) if found else None


def _left_in_machine() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (OSError, ValueError):
            return None


def _left_in_container() -> int | None:
    try:
        limit, used = (int((_CGROUP / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        lines = (line.split() for line in (_CGROUP / "memory.stat").read_text("ascii").splitlines())
        # Pages of files count as used and are given back when somebody needs them: mapped matrices are such.
        files = sum(int(value) for name, value in lines if name in ("inactive_file", "active_file"))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return None
    return max(0, limit - used + files)


def told(size: float) -> str:
    """Write bytes for a person."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
