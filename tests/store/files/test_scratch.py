"""Scratch folders go with their runs, killed ones too; what lies in them is checked when it is read."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.errors import InputError
from store.files.scratch import put_arrays, scratch_folder, take_arrays

_KILLED = """
import os, sys
from pathlib import Path
from store.files.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "large").write_bytes(b"x")
    print(folder.name, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_run_left_goes_with_the_next_one_but_not_what_is_in_use(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as live:
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(tmp_path)], capture_output=True, text=True, check=False
        )
        left = tmp_path / done.stdout.strip()
        assert (left / "large").is_file()
        with scratch_folder(tmp_path) as own:
            assert not left.exists()
            assert live.is_dir()
            assert own.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_an_error_removes_it_too_and_who_writes_late_finds_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"), scratch_folder(tmp_path) as folder:
        put_arrays(folder / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(FileNotFoundError):
        put_arrays(folder / "a.npz", a=np.ones(3))
    assert list(tmp_path.iterdir()) == []


def test_arrays_come_back_as_they_were_and_other_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    there = {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.array([True])}
    digest = put_arrays(path, **there)
    found = take_arrays(path, digest)
    assert {name: (value.dtype, value.tolist()) for name, value in found.items()} == {
        name: (value.dtype, value.tolist()) for name, value in there.items()
    }
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=r"expected .*a.npz, written for this run; found another file; share"):
        take_arrays(path, "0" * 64)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        put_arrays(path, a=np.array([{}], dtype=object))
    assert take_arrays(path, digest)["b"].all()


def test_what_could_not_be_removed_is_removed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as where a worker of another machine has a file open
        with scratch_folder(tmp_path) as folder:
            (folder / "large").write_bytes(b"x")
    assert (folder.with_suffix(".gone") / "large").is_file()
    with scratch_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_before_it_was_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock
    removed: list[Path] = []

    def late(held: Any, how: int) -> None:
        if not removed:
            removed.append(Path(held.name))
            removed[0].unlink()  # as a run does that starts at the same time
        real(held, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with scratch_folder(tmp_path) as folder:
        assert [path.stem for path in tmp_path.glob("*.lock")] == [folder.name]
        assert folder.name != removed[0].stem
    assert list(tmp_path.iterdir()) == []
