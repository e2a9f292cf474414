"""An album in a fresh folder, and three counting encoders in the catalogue of every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.models.encoders.catalog.encoders import ENCODERS
from tests.stages.embed.album import Album
from tests.stages.embed.counting import Counting


@pytest.fixture
def album(tmp_path: Path) -> Album:
    return Album(tmp_path)


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The encoder "counting", for texts."""
    encoder = Counting()
    monkeypatch.setitem(ENCODERS, "counting", encoder.row("counting", "text"))
    return encoder


@pytest.fixture(autouse=True)
def seeing(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The encoder "seeing", for pictures: its vectors follow from the bytes of the file."""
    encoder = Counting()
    monkeypatch.setitem(ENCODERS, "seeing", encoder.row("seeing", "image"))
    return encoder


@pytest.fixture(autouse=True)
def pairing(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The encoder "pairing", for a text and a picture together."""
    encoder = Counting()
    monkeypatch.setitem(ENCODERS, "pairing", encoder.row("pairing", "pair"))
    return encoder
