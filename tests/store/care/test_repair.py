"""Repair and conflicts: damage goes to the trash, records come back, and vectors that disagree are told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from store import Fingerprint, conflicts, verify
from store.care.inventory import holdings, parse_key
from store.care.verify import repair
from store.segments import segment as segment_module


def test_damage_is_moved_away_and_only_damage(store, log, make_rows):
    names = [log.append(*make_rows(start, start + 10), {}) for start in (0, 10)]
    path = Path(log.shown) / "segments" / names[0]
    path.write_bytes(path.read_bytes()[:-1])
    (planned,) = repair(store)
    assert planned.path.endswith(names[0])
    assert path.exists()
    repair(store, apply=True)
    assert log.segments() == [names[1]]
    assert verify(store, rows=True) == []
    assert [p.name for p in (Path(store.address) / "damaged").rglob("*.*") if p.is_file()] == [names[0]]
    assert repair(store, apply=True) == []


def test_a_segment_of_a_newer_version_is_no_damage(store, log, make_rows, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(segment_module, "FORMAT_VERSION", 9)
        name = log.append(*make_rows(0, 10), {})
    (found,) = repair(store, apply=True)
    assert (found.remedy, log.segments()) == ("", [name])
    assert "upgrade" in found.problem


@pytest.mark.parametrize("damage", [None, b"{}", b"\xff"])
def test_a_lost_record_comes_back_from_the_parameters(store, log, make_rows, damage):
    keys, vectors = make_rows(0, 10)
    log.append(keys, vectors, {})
    path = Path(log.shown) / "encoder.json"
    content = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage)
    assert [each.remedy for each in repair(store, apply=True)] == [""]
    repair(store, [log.record], apply=True)
    assert path.read_bytes() == content
    again = store.open(log.fingerprint, log.dim, log.dtype)
    np.testing.assert_array_equal(again.read(again.locate(keys), slice(None)), vectors)


def test_rounding_is_tolerated_and_other_vectors_are_not(store, log, make_rows):
    keys, vectors = make_rows(0, 20)
    first = log.append(keys, vectors, {})
    log.append(keys[:10], vectors[:10] * np.float32(1.000001), {})
    (found,) = conflicts(store)
    assert (found.rows, found.tolerated) == (10, True)
    assert found.cosine == pytest.approx(1)
    wrong = vectors[15:16].copy()
    wrong[0, :3] *= -1
    other = log.append(keys[15:16], wrong, {})
    (bad,) = [each for each in conflicts(store) if not each.tolerated]
    assert set(bad.segments) == {first, other}
    assert bad.key == keys[15].tobytes().hex()
    expected = float(wrong[0] @ vectors[15] / (np.linalg.norm(wrong[0]) * np.linalg.norm(vectors[15])))
    assert bad.cosine == pytest.approx(expected, abs=1e-6)


def test_conflicts_are_found_in_several_passes_too(store, log, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 200)
    log.append(keys, vectors, {})
    log.append(keys, vectors * np.float32(1.00001), {})
    (whole,) = conflicts(store)
    monkeypatch.setattr(sys.modules[conflicts.__module__], "_PASS_BYTES", 4000)
    (parts,) = conflicts(store)
    assert parts == whole
    assert parts.rows == 200


def test_equal_rows_are_no_conflict(store, log, make_rows):
    keys, vectors = make_rows(0, 10)
    log.append(keys, vectors, {})
    log.append(keys, vectors, {"again": True})
    assert len(log.segments()) == 2
    assert conflicts(store) == []


def test_a_key_is_explained_by_who_holds_it(store, log, make_rows):
    keys, vectors = make_rows(0, 10)
    name = log.append(keys, vectors, {"device": "cpu"})
    other = store.open(Fingerprint.of("tiny", {"weights": "sha256:01"}), 6, "float32")
    other.append(keys[:1], vectors[:1], {"device": "cuda"})
    found = {each.fingerprint.digest: each for each in holdings(store, keys[0].tobytes())}
    assert found[log.fingerprint.digest].segment == name
    assert {each.provenance["device"] for each in found.values()} == {"cpu", "cuda"}
    assert len(holdings(store, keys[1].tobytes())) == 1
    assert holdings(store, bytes(32)) == []
    assert parse_key(keys[0].tobytes().hex()) == keys[0].tobytes()
    assert parse_key("item-1") is None
    assert parse_key("ab") is None
