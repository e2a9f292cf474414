"""What a log says of a long training: how far, how fast, and the last note, which stays until there is another."""

from __future__ import annotations

import time

import pytest

from pipeline.console import ConsoleProgress


def test_a_note_stays_until_the_next_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with ConsoleProgress().track("train x, seed 0", 1000) as tracker:
        tracker.advance(100)
        tracker.advance(0, "epoch 1, loss 0.5000")
        now[0] = 10.0
        tracker.advance(100)
        now[0] = 11.0
        tracker.advance(100)
    assert capsys.readouterr().err == "train x, seed 0: 200/1000, 20/s, 40 s left, epoch 1, loss 0.5000\n"
