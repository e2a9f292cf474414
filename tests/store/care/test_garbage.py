"""Garbage: never a row of a known manifest, never anything young, and never by our own clock."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from store import InvalidRequest
from store.care.garbage import DAY, gc, list_trash


@pytest.fixture
def aged(log, make_rows):
    """Make three segments of ten rows, all 30 days old by the storage's clock."""
    names = [log.append(*make_rows(start, start + 10), {}) for start in (0, 10, 20)]
    for name in names:
        age(log, name, 30)
    return names


def age(log, name, days):
    path = Path(log.shown) / "segments" / name
    past = path.stat().st_mtime - days * DAY
    os.utime(path, (past, past))


def paths(found):
    return sorted(each.path.rpartition("/")[2] for each in found)


def test_only_segments_without_a_known_row_go(store, log, aged, make_keys):
    known = [make_keys(5, 6), make_keys(25, 40)]
    found = gc(store, known)
    assert paths(found) == [aged[1]]
    assert (found[0].rows, found[0].kind) == (10, "segment")
    assert sorted(log.segments()) == sorted(aged)  # a dry run
    gc(store, known, apply=True)
    assert sorted(log.segments()) == sorted([aged[0], aged[2]])
    assert log.locate(make_keys(0, 10)).found.all()
    (trashed,) = list_trash(store.backend, store.backend.now())
    assert trashed.origin.endswith(aged[1])


def test_what_is_young_stays(store, log, aged, make_keys):
    age(log, aged[1], -29)
    assert paths(gc(store, [make_keys(0, 5)], grace_days=7, apply=True)) == [aged[2]]
    assert sorted(log.segments()) == sorted(aged[:2])


@pytest.mark.parametrize("years", [-10, 10])
def test_our_own_clock_decides_nothing(store, log, aged, make_keys, monkeypatch, years):
    age(log, aged[1], -29)
    real = time.time()
    monkeypatch.setattr("time.time", lambda: real + years * 365 * DAY)
    assert paths(gc(store, [make_keys(0, 5)], apply=True)) == [aged[2]]


@pytest.mark.usefixtures("aged")
def test_without_a_known_key_everything_is_refused(store, make_keys):
    for known in ([], [make_keys(0, 0)]):
        with pytest.raises(InvalidRequest, match="name every manifest"):
            gc(store, known, apply=True)


@pytest.mark.usefixtures("aged")
def test_a_short_grace_period_is_refused(store, make_keys):
    for days in (6.9, 0, -1, float("nan")):
        with pytest.raises(InvalidRequest, match="at least 7 days"):
            gc(store, [make_keys(0, 5)], grace_days=days)


def test_old_temporaries_and_old_trash_are_deleted(store, log, aged, make_keys):
    folder = Path(log.shown) / "segments"
    for name in (".tmp-host-1-aa", ".tmp-host-2-bb", "note"):
        (folder / name).write_bytes(b"?")
    age(log, ".tmp-host-1-aa", 30)
    age(log, "note", 30)
    for date in ("2020-01-01", "somebody"):
        path = Path(store.address) / "trash" / date / "v1" / "x" / "old"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"?")
    found = gc(store, [make_keys(0, 30)], apply=True)
    assert sorted((each.kind, each.path.rpartition("/")[2]) for each in found) == [
        ("temporary", ".tmp-host-1-aa"),
        ("trash", "old"),
    ]
    assert not (Path(store.address) / "trash/2020-01-01/v1/x/old").exists()
    assert (Path(store.address) / "trash/somebody/v1/x/old").exists()
    assert {path.name for path in folder.iterdir()} == {*aged, ".tmp-host-2-bb", "note"}


def test_signatures_of_segments_that_are_gone_follow_them(store, log, aged, make_keys):
    folder = Path(log.shown) / "signatures"
    folder.mkdir()
    gone = re.sub(r"[0-9a-f]{64}", "0" * 64, aged[0])
    for name in (aged[0], gone):
        path = folder / f"{name}.{'ab' * 8}.sig"
        path.write_bytes(bytes(64))
        os.utime(path, (0, 0))
    (orphan,) = [each for each in gc(store, [make_keys(0, 30)], apply=True) if each.kind == "signature"]
    assert Path(orphan.path).name.startswith(gone)
    assert [path.name for path in folder.iterdir()] == [f"{aged[0]}.{'ab' * 8}.sig"]


def test_a_damaged_segment_is_left_for_repair(store, log, aged, make_keys):
    path = Path(log.shown) / "segments" / aged[1]
    path.write_bytes(b"?" + path.read_bytes()[1:])
    age(log, aged[1], 30)
    assert paths(gc(store, [make_keys(0, 5)], apply=True)) == [aged[2]]


@pytest.mark.usefixtures("aged")
def test_rows_that_a_reader_located_are_missed_and_not_guessed(store, log, make_rows, make_keys):
    keys, _ = make_rows(10, 20)
    located = log.locate(keys)
    gc(store, [make_keys(0, 5)], apply=True)
    with pytest.raises(Exception, match="removed meanwhile"):
        log.read(located, slice(None))
    assert not log.locate(keys).found.any()
