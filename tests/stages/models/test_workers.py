"""What stages have in common on a worker: it is named in what goes wrong, holds one thing, and leaves arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.machine.executors import SerialExecutor
from stages.models.workers import arrays_of, held_once, report_of, told_where
from store.errors import InputError


def test_who_could_not_read_or_write_is_named_and_the_kind_of_error_stays(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "a"
    with pytest.raises(FileNotFoundError, match=r"worker \S+:\d+: No such file or directory: .*gone/a"), told_where():
        gone.write_text("")
    with pytest.raises(InputError, match=r"worker \S+:\d+: expected so"), told_where():
        raise InputError("expected so")
    with pytest.raises(OSError, match=r"^no number$"), told_where():
        raise OSError("no number")


def test_threads_that_ask_at_once_hold_the_same_and_only_the_last_is_held() -> None:
    built = []

    @held_once
    def hold(order: Mapping[str, Any]) -> object:
        built.append(order)
        time.sleep(0.02)
        return object()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(hold, [{"x": 1, "y": 2}, {"y": 2, "x": 1}] * 2))
    assert len(set(found)) == 1
    hold({"x": 3})
    assert hold({"x": 1, "y": 2}) is not found[0]
    assert built == [{"x": 1, "y": 2}, {"x": 3}, {"x": 1, "y": 2}]


def _done_twice(task: dict[str, Any]) -> dict[str, str]:
    report = report_of(task, a=np.array([1.0]))
    report_of(task, a=np.array([1.0 + 2**-52]))  # by a worker that was taken for lost, on another processor
    return report


def test_what_was_reported_is_read_though_another_worker_writes_its_own_later(tmp_path: Path) -> None:
    tasks = [{"into": str(tmp_path / f"{number}.npz")} for number in range(2)]
    found = [arrays["a"].tolist() for arrays in arrays_of(SerialExecutor(), _done_twice, tasks)]
    assert found == [[1.0], [1.0]]
