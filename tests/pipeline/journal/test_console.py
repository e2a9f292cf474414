"""What a log says of a long training: how far, how fast, and the last note, which stays until there is another."""

from __future__ import annotations

import io
import json
import sys
import time

import pytest

from pipeline import cli
from pipeline.journal.console import ConsoleProgress, err, out, print_json, spell_out


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


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_encoding_lacks_is_spelt_out(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, told = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(told, encoding, write_through=True))
    spell_out()
    out.print("caf\u00e9 \u4e2d \udcff", markup=False)  # the last one stands for a byte of a name that is no UTF-8
    err.print("\u4e2d", markup=False)
    assert written.getvalue() in (
        b"caf\\xe9 \\u4e2d \\udcff\n",
        b"caf\xe9 \\u4e2d \\udcff\n",
        "caf\u00e9 \u4e2d \\udcff\n".encode(),
    )
    assert told.getvalue() in (b"\\u4e2d\n", "\u4e2d\n".encode())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_stays_json_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
    spell_out()
    print_json({"caption": "caf\u00e9 \U0001f600"})
    assert json.loads(written.getvalue().decode("utf-8")) == {"caption": "caf\u00e9 \U0001f600"}


def test_commands_end_well_on_an_ascii_console(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    monkeypatch.setattr(cli, "app", lambda **_: out.print("\u25a0 \U0001f600"))
    cli.main()
    assert written.getvalue() == b"\\u25a0 \\U0001f600\n"
