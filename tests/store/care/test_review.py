"""What a hostile review found: what is not damage must not be thrown away, and what is planted must not block a run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from store import (
    CorruptSegment,
    FeatureStore,
    Fingerprint,
    InvalidRequest,
    StoreUnreachable,
    UnsupportedStore,
    compact,
    conflicts,
    gc,
    holdings,
    repair,
    verify,
)
from store.backends import local as local_module
from store.care.garbage import list_trash
from store.features.index import KeyTable
from store.features.record import RECORD_NAME
from store.segments.segment import Segment, SegmentName, build_segment, row_digests


def failing_reads(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    read = local_module.read_regular

    def fail(path: Path, limit: int) -> bytes:
        if path.parent.name == "segments":
            raise OSError(number, os.strerror(number), str(path))
        return read(path, limit)

    monkeypatch.setattr(local_module, "read_regular", fail)


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EMFILE, errno.EHOSTDOWN])
def test_a_server_that_does_not_answer_is_no_damage(store, log, make_rows, monkeypatch, number):
    name = log.append(*make_rows(0, 10), {})
    with monkeypatch.context() as patch:
        failing_reads(patch, number)
        for look in (lambda: repair(store, apply=True), lambda: log.locate(make_rows(0, 10)[0])):
            with pytest.raises(StoreUnreachable, match="run again"):
                look()
    assert log.segments() == [name]


def test_a_file_that_cannot_be_read_is_told_and_left_where_it_is(store, log, make_rows, monkeypatch):
    name = log.append(*make_rows(0, 10), {})
    with monkeypatch.context() as patch:
        failing_reads(patch, errno.EIO)
        assert log.locate(make_rows(0, 10)[0]).corrupt == (name,)
        (found,) = repair(store, apply=True)
        assert (found.remedy, "cannot be read" in found.problem) == ("", True)
    assert log.segments() == [name]


def test_what_a_writer_healed_meanwhile_is_not_moved_away(store, log, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 10)
    name = log.append(keys, vectors, {})
    path = Path(log.shown) / "segments" / name
    path.write_bytes(path.read_bytes()[:-1])
    other = FeatureStore(store.address, segment_format=store.segment_format, durability="none")

    def verifying_takes_long(*arguments, **options):
        problems = verify(*arguments, **options)
        other.open(log.fingerprint, log.dim, log.dtype).append(keys, vectors, {})
        return problems

    monkeypatch.setitem(repair.__globals__, "verify", verifying_takes_long)
    (found,) = repair(store, apply=True)
    assert "meanwhile" in found.remedy
    np.testing.assert_array_equal(log.read(other.logs()[0].locate(keys), slice(None)), vectors)


def test_the_record_of_a_newer_version_is_left_alone(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    path = Path(log.shown) / RECORD_NAME
    newer = path.read_bytes().replace(b'"min_reader":1', b'"min_reader":9')
    path.write_bytes(newer)
    (found,) = repair(store, [log.record], apply=True)
    assert (found.remedy, path.read_bytes()) == ("", newer)


@pytest.mark.parametrize("folder", ["trash", "v1", "v1/tiny", "segments"])
def test_a_link_in_place_of_a_folder_leads_nowhere(store, log, make_rows, tmp_path, folder):
    log.append(*make_rows(0, 5), {})
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "2020-01-01" / "v1").mkdir(parents=True)
    victim = elsewhere / "2020-01-01" / "v1" / "precious"
    victim.write_bytes(b"?")
    (elsewhere / ".tmp-theirs").write_bytes(b"?")
    os.utime(elsewhere / ".tmp-theirs", (0, 0))
    inner = {"v1/tiny": log.folder, "segments": f"{log.folder}/segments"}.get(folder, folder)
    place = Path(store.address) / inner
    if place.exists():
        place.rename(tmp_path / "moved")
    place.symlink_to(elsewhere, target_is_directory=True)
    before = sorted(path for path in elsewhere.rglob("*"))
    for act in (
        lambda: gc(store, [make_rows(0, 5)[0]], apply=True),
        lambda: log.append(*make_rows(5, 9), {}),
        lambda: list_trash(store.backend, store.backend.now()),
    ):
        try:
            act()
        except (UnsupportedStore, ValueError):
            continue
    assert sorted(path for path in elsewhere.rglob("*")) == before


@pytest.mark.parametrize("path", ["/etc", "../elsewhere", "v1/../../elsewhere"])
def test_no_path_leads_out_of_the_root(store, path):
    for act in (
        lambda: store.backend.files(path),
        lambda: store.backend.read(f"{path}/x", 10),
        lambda: store.backend.publish(f"{path}/x", b"?"),
        lambda: store.backend.remove(f"{path}/x"),
    ):
        with pytest.raises(UnsupportedStore, match="below the store"):
            act()


def test_one_bad_row_condemns_its_segment_and_not_those_merged_with_it(store, log, make_rows):
    for start in (0, 10, 20):
        log.append(*make_rows(start, start + 10), {})
    keys, vectors = make_rows(30, 40)
    order = np.argsort([key.tobytes() for key in keys])
    digests = row_digests(vectors[order]).copy()
    digests[3] ^= 1
    forged, data = build_segment(
        store.segment_format, Segment(keys[order], vectors[order], digests, {}, log.fingerprint.digest)
    )
    (Path(log.shown) / "segments" / forged).write_bytes(data)
    (merge,) = compact(store, apply=True)
    assert forged not in merge.inputs
    repair(store, apply=True)
    assert log.locate(make_rows(0, 40)[0]).found.sum() == 30


def test_keys_made_to_begin_alike_cost_one_lookup(log, make_rows):
    keys, vectors = make_rows(0, 10)
    log.append(keys, vectors, {})
    alike = keys.copy()
    alike[:, 20:] ^= 255
    true_digests = KeyTable.of(*sorted_rows(keys, vectors)).digest
    for attempt in range(200):
        poison = vectors + np.float32(attempt + 1)
        if (KeyTable.of(*sorted_rows(keys, poison)).digest < true_digests).any():
            break
    log.append(alike, poison, {})
    located = log.locate(keys)
    with pytest.raises(CorruptSegment, match="beginning alike"):
        log.read(located, slice(None))
    again = log.locate(keys)
    np.testing.assert_array_equal(log.read(again, slice(None)), vectors)


def sorted_rows(keys: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort([key.tobytes() for key in keys])
    return keys[order], row_digests(vectors[order])


def test_a_name_that_promises_millions_of_rows_costs_nothing(store, log, make_rows, monkeypatch):
    log.append(*make_rows(0, 10), {})
    name = SegmentName(store.segment_format, 9_999_999_999, 1, "0" * 64)
    (Path(log.shown) / "segments" / str(name)).write_bytes(b"?")
    passes = []
    cut = conflicts.__globals__["_range"]
    monkeypatch.setitem(conflicts.__globals__, "_range", lambda *a, **k: passes.append(1) or cut(*a, **k))
    assert conflicts(store) == []
    assert len(passes) == 1


def test_deep_folders_in_the_trash_are_not_followed(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    deep = Path(store.address) / "trash" / "2020-01-01" / Path(*["a"] * 300)
    deep.mkdir(parents=True)
    (deep / "far").write_bytes(b"?")
    assert list_trash(store.backend, store.backend.now()) == []


@pytest.mark.parametrize("provenance", ['{"x": 1e400}', '{"x": "\\ud800"}', '{"x":"' + "a" * 40_000 + '"}'])
def test_a_provenance_that_we_would_not_write_is_damage(store, log, make_rows, monkeypatch, provenance):
    keys, vectors = make_rows(0, 5)
    order = np.argsort([key.tobytes() for key in keys])
    with monkeypatch.context() as patch:
        patch.setattr("store.segments.segment.canonical_json", lambda _: provenance.encode())
        patch.setattr("store.segments.segment.MAX_PROVENANCE_BYTES", 1 << 20)
        segment = Segment(keys[order], vectors[order], row_digests(vectors[order]), {}, log.fingerprint.digest)
        name, data = build_segment(store.segment_format, segment)
    folder = Path(log.shown) / "segments"
    log.append(*make_rows(10, 12), {})
    (folder / name).write_bytes(data)
    compact(store, apply=True)
    assert [problem.segment for problem in verify(store)] == [name]


def test_an_unknown_encoder_is_wrong_input(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    with pytest.raises(InvalidRequest, match="see `diptych store ls`"):
        compact(store, encoder="tyni")


def test_damage_of_one_encoder_does_not_hide_the_others(store, log, make_rows, tmp_path):
    keys, vectors = make_rows(0, 5)
    client = FeatureStore(store.address, segment_format=store.segment_format, durability="none", cache=tmp_path / "c")
    name = client.open(log.fingerprint, log.dim, log.dtype).append(keys, vectors, {})
    other = Fingerprint.of("sound", {"weights": "sha256:01"})
    client.open(other, log.dim, log.dtype).append(keys, vectors, {})
    path = Path(log.shown) / "segments" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # as long as before: the remembered keys still list it
    assert [each.fingerprint.encoder for each in holdings(client, keys[0].tobytes())] == ["sound"]
