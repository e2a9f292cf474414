"""What stages have in common on a worker: it is named in what goes wrong, and holds one thing for all its threads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stages.errors import InputError
from stages.workers import held_once, told_where


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
