"""Stores carried to other roots and archives and back: all that is sound arrives, and nothing else does."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store import (
    FeatureStore,
    Fingerprint,
    Segment,
    StoreNotReadable,
    StoreNotWritable,
    UnknownEncoder,
    UnsafeArchive,
    UnsupportedStore,
    export_store,
    import_store,
    stats,
    verify,
)
from store.care.archive import MAX_MEMBERS, ArchiveBackend
from store.files.zarr_documents import zip_entry
from store.segments.segment import build_segment, row_digests


@pytest.fixture
def other(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "other", durability="none")


@pytest.fixture
def filled(store, log, make_rows) -> FeatureStore:
    """A store of two encoders with three segments."""
    log.append(*make_rows(0, 5), {"device": "cpu"})
    log.append(*make_rows(5, 12), {})
    store.open(Fingerprint.of("half", {}), log.dim, "float16").append(*make_rows(0, 3, "float16"), {})
    return store


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def files_of(store: FeatureStore) -> dict[str, bytes]:
    root = Path(store.address)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_to_a_folder_and_again(filled, other):
    told: list[tuple[int, int]] = []
    report = export_store(filled, other.address, told=lambda *each: told.append(each), durability="none")
    assert (report.encoders, report.segments, report.rows, report.skipped, report.problems) == (2, 3, 15, 0, ())
    assert report.bytes == stats(filled).bytes
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert files_of(other) == files_of(filled)
    again = export_store(filled, other.address, durability="none")
    assert (again.encoders, again.segments, again.rows, again.skipped) == (0, 0, 0, 3)
    assert import_store(filled.address, other).skipped == 3


def test_to_an_object_storage_and_back(filled, other):
    url = f"memory://{Path(other.address).parent.name}/shared"
    assert export_store(filled, url).segments == 3
    assert export_store(filled, url).skipped == 3
    assert import_store(url, other).rows == 15
    assert files_of(other) == files_of(filled)


def test_through_an_archive_into_a_store_with_other_rows(filled, other, log, make_rows, tmp_path):
    mine = other.open(log.fingerprint, log.dim, "float32")
    mine.append(*make_rows(10, 20), {})
    export_store(filled, tmp_path / "all.zip", durability="none")
    report = import_store(tmp_path / "all.zip", other)
    assert (report.encoders, report.segments, report.rows, report.problems) == (2, 3, 15, ())
    keys, vectors = make_rows(0, 20)
    np.testing.assert_array_equal(mine.read(mine.locate(keys), slice(None)), vectors)
    assert verify(other, rows=True) == []
    assert import_store(tmp_path / "all.zip", other).skipped == 3


def test_equal_stores_give_equal_archives_that_any_tool_reads(filled, other, tmp_path):
    export_store(filled, tmp_path / "one.zip", durability="none")
    export_store(filled, other.address, durability="none")
    export_store(other, tmp_path / "two.zip", durability="none")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files_of(filled)
        assert archive.namelist() == sorted(archive.namelist())


def test_an_archive_over_four_gigabytes(filled, other, monkeypatch, tmp_path):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 3000)  # so that a small one is written as a large one is
    export_store(filled, tmp_path / "large.zip", durability="none")
    monkeypatch.undo()
    assert b"PK\x06\x06" in (tmp_path / "large.zip").read_bytes()
    assert import_store(tmp_path / "large.zip", other).segments == 3
    assert files_of(other) == files_of(filled)


def test_only_the_encoders_asked_for(filled, other, log, tmp_path):
    assert export_store(filled, other.address, encoders=["half"], durability="none").rows == 3
    folder = log.folder.rpartition("/")[2]
    assert export_store(filled, tmp_path / "a.zip", encoders=[folder], durability="none").rows == 12
    assert import_store(tmp_path / "a.zip", other, encoders=["tiny"]).rows == 12
    for call in (
        lambda: export_store(filled, tmp_path / "b.zip", encoders=["tiny", "huge"]),
        lambda: import_store(tmp_path / "a.zip", other, encoders=["huge"]),
    ):
        with pytest.raises(UnknownEncoder, match="found 'huge'; there are") as caught:
            call()
        assert caught.value.exit_code == 2
    assert not (tmp_path / "b.zip").exists()


def test_a_fetched_segment_is_found_without_reading_it_again(filled, log, make_rows, tmp_path):
    cached = FeatureStore(tmp_path / "mine", durability="none", cache=tmp_path / "cache")
    import_store(filled.address, cached)
    assert len(list((tmp_path / "cache").rglob("*.keys"))) == 3
    assert cached.open(log.fingerprint, log.dim, "float32").locate(make_rows(0, 12)[0]).found.all()


@pytest.mark.parametrize("target", ["other", "new.zip"])
def test_damage_is_counted_named_and_left_behind(filled, log, tmp_path, target):
    first, second = log.segments()
    flip(Path(log.shown) / "segments" / first)
    report = export_store(filled, tmp_path / target, durability="none")
    assert (report.segments, report.skipped) == (2, 0)
    (problem,) = report.problems
    assert (problem.encoder_folder, problem.segment) == (log.folder, first)
    assert "SHA-256" in problem.what
    fresh = FeatureStore(tmp_path / "fresh", durability="none")
    assert import_store(tmp_path / target, fresh).problems == ()
    assert fresh.log(log.record).segments() == [second]


def test_a_segment_damaged_within_the_archive_is_left_behind(filled, other, log, tmp_path):
    export_store(filled, tmp_path / "a.zip", durability="none")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        member = archive.getinfo(log.files.path(log.segments()[0]))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[member.header_offset + 400] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    report = import_store(tmp_path / "a.zip", other)
    assert [problem.segment for problem in report.problems] == [log.segments()[0]]
    assert report.segments == 2


def forged(log, make_rows, **changes) -> tuple[str, bytes]:
    keys, vectors = make_rows(0, 4)
    order = np.lexsort(keys.T[::-1])
    made = {"keys": keys[order], "vectors": vectors[order], "fingerprint": log.fingerprint.digest, **changes}
    digests = changes.get("digests", row_digests(made["vectors"]))
    return build_segment("zarr.zip", Segment(made["keys"], made["vectors"], digests, {}, made["fingerprint"]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "ab" * 32}, "fingerprint"),
        ({"vectors": np.ones((4, 5), np.float32)}, "dimension"),
        ({"vectors": np.ones((4, 6), np.float16)}, "dtype"),
        ({"vectors": np.zeros((4, 6), np.float32)}, "zero vector"),
        ({"vectors": np.full((4, 6), np.nan, np.float32)}, "non-finite"),
        ({"digests": np.zeros((4, 8), np.uint8)}, "match its digest"),
    ],
)
def test_segments_whole_by_their_name_and_wrong_inside_are_left_behind(filled, other, log, make_rows, changes, said):
    name, data = forged(log, make_rows, **changes)
    (Path(log.shown) / "segments" / name).write_bytes(data)
    report = import_store(filled.address, other)
    assert [(problem.segment, said in problem.what) for problem in report.problems] == [(name, True)]
    assert report.segments == 3
    assert verify(other, rows=True) == []


def test_records_are_compared_in_full_and_other_encoders_go_on(other, make_rows, monkeypatch):
    # Another record under the same folder name: what two digests with an equal beginning would be.
    monkeypatch.setattr(Fingerprint, "folder", property(lambda self: f"{self.encoder}-{'0' * 16}"))
    source = FeatureStore(Path(other.address).parent / "source", durability="none")
    source.open(Fingerprint.of("tiny", {"weights": "a"}), 6, "float32").append(*make_rows(0, 3), {})
    source.open(Fingerprint.of("fine", {}), 6, "float32").append(*make_rows(0, 4), {})
    theirs = other.open(Fingerprint.of("tiny", {"weights": "b"}), 6, "float32")
    theirs.append(*make_rows(0, 5), {})
    report = import_store(source.address, other)
    assert (report.rows, report.encoders) == (4, 1)
    (problem,) = report.problems
    assert (problem.encoder_folder, problem.segment) == (f"v1/tiny-{'0' * 16}", "")
    assert "weights" in problem.what
    assert len(theirs.segments()) == 1


def test_a_bad_or_missing_record_is_a_problem_and_a_strange_folder_is_none(filled, other, log):
    (Path(filled.address) / "v1" / "somebody").mkdir()
    record = Path(log.shown) / "encoder.json"
    for damage in (lambda: record.write_bytes(record.read_bytes()[:-5]), record.unlink):
        damage()
        report = import_store(filled.address, other)
        assert [(each.encoder_folder, each.segment) for each in report.problems] == [(log.folder, "")]
    assert report.skipped == 1


def test_a_truncated_copy_in_the_target_is_healed(filled, other, log):
    export_store(filled, other.address, durability="none")
    damaged = Path(other.address) / log.files.path(log.segments()[0])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert import_store(filled.address, other).segments == 1
    assert verify(other, rows=True) == []


def test_an_existing_archive_is_never_replaced(filled, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(UnsafeArchive, match="expected no file at") as caught:
        export_store(filled, tmp_path / "a.zip")
    assert caught.value.exit_code == 2
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_an_interrupted_export_leaves_no_archive(filled, tmp_path):
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_store(filled, tmp_path / "a.zip", told=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_wrong_addresses_are_wrong_input(filled, other, tmp_path):
    for call in (
        lambda: import_store(tmp_path / "typo", other),
        lambda: import_store(tmp_path / "typo.zip", other),
        lambda: import_store(tmp_path, FeatureStore(tmp_path / "x")),
        lambda: export_store(filled, "s3://bucket/a.zip"),
        lambda: export_store(filled, "ftp://host/a"),
    ):
        with pytest.raises((UnsupportedStore, UnsafeArchive)) as caught:
            call()
        assert caught.value.exit_code == 2
    assert not other.exists()


def test_an_archive_is_no_store_to_write_to(filled, tmp_path, log, make_rows):
    export_store(filled, tmp_path / "a.zip", durability="none")
    with ArchiveBackend(tmp_path / "a.zip") as archive:
        readable = FeatureStore(archive)
        assert verify(readable, rows=True) == []
        with pytest.raises(StoreNotWritable, match="import it"):
            readable.log(log.record).append(*make_rows(20, 22), {})
        for refused in (lambda: archive.move("a", "b"), lambda: archive.remove("a"), archive.now):
            with pytest.raises(StoreNotWritable):
                refused()


def test_a_storage_that_refuses_reading_stops_the_import(filled, other, monkeypatch):
    def refuse(*_):
        raise StoreNotReadable("no right")

    monkeypatch.setattr("store.care.transfer.check_promise", refuse)
    with pytest.raises(StoreNotReadable):
        import_store(filled.address, other)


# Case 77 of reliability.md. Each of these archives is refused before a byte of it is used.

Entries = list[tuple[zipfile.ZipInfo, bytes]]
SEGMENT = f"v1/tiny-{'0' * 16}/segments/zarr.zip-1-3-{'0' * 64}.zarr.zip"


def named(name: str) -> Callable[[], Entries]:
    def make() -> Entries:
        info = zip_entry("x")
        info.filename = name
        return [(info, b"abc")]

    return make


def link() -> Entries:
    info = zip_entry(SEGMENT)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [(info, b"/etc/passwd")]


def compressed() -> Entries:
    info = zip_entry(SEGMENT)
    info.compress_type = zipfile.ZIP_DEFLATED
    return [(info, bytes(3_000_000))]  # 1000:1


def twice() -> Entries:
    return [(zip_entry(SEGMENT), b"abc"), (zip_entry(SEGMENT), b"abd")]


HOSTILE = {
    "parent": named("../x"),
    "parent inside": named(f"v1/tiny-{'0' * 16}/segments/../../../x"),
    "absolute": named("/etc/cron.d/x"),
    "backslash": named("..\\x"),
    "drive": named("C:\\x"),
    "folder": named(f"v1/tiny-{'0' * 16}/segments/"),
    "unknown": named("README.md"),
    "other record": named(f"v1/tiny-{'0' * 16}/encoder.json.bak"),
    "segment of another name": named(f"v1/tiny-{'0' * 16}/segments/a.zarr.zip"),
    "newline": named(f"{SEGMENT}\n"),
    "escape": named(f"v1/\x1b[31m-{'0' * 16}/encoder.json"),
    "NUL": named(f"{SEGMENT}\0.txt"),
    "long": named("v1/" + "a" * 4096),
    "capitals": named(SEGMENT.replace("tiny", "Tiny")),
    "link": link,
    "compressed": compressed,
    "twice": twice,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_case_77_hostile_members_are_refused(make, filled, other, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    export_store(filled, inside / "a.zip", durability="none")
    with zipfile.ZipFile(inside / "a.zip", "a") as archive:
        for info, data in make():
            archive.writestr(info, data, info.compress_type)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnsafeArchive, match="nothing was imported") as caught:
        import_store(inside / "a.zip", other)
    assert caught.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_case_77_an_encrypted_member_is_refused(filled, other, tmp_path):
    export_store(filled, tmp_path / "a.zip", durability="none")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the last member's entry in the directory
    data[entry + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UnsafeArchive, match="encrypted"):
        import_store(tmp_path / "a.zip", other)
    assert not other.exists()


def test_case_77_overlapping_members_larger_than_the_file_are_refused(filled, other, tmp_path):
    export_store(filled, tmp_path / "a.zip", durability="none")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<2I", data, entry + 20, len(data), len(data))
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UnsafeArchive, match="larger than the file"):
        import_store(tmp_path / "a.zip", other)


@pytest.mark.parametrize("large", [False, True], ids=["as told", "with a lie about their number"])
def test_case_77_a_million_entries_are_refused_without_reading_them(other, tmp_path, large):
    # A directory of 10^6 entries of 46 bytes; with the lie, the closing record admits to one.
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 1_000_000
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(directory), 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(directory), 1)
    if large:
        tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    else:
        tail = end64 + locator + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    (tmp_path / "a.zip").write_bytes(directory + tail)
    del directory
    tracemalloc.start()
    with pytest.raises(UnsafeArchive, match=f"1 to {MAX_MEMBERS} members"):
        import_store(tmp_path / "a.zip", other)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no zip", bytes(200), b"PK\x05\x06" + bytes(17), b"PK\x05\x06" + bytes(12) + b"\5\0\0\0\0\0"]
)
def test_files_that_are_no_zip_are_refused(other, tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UnsafeArchive):
        import_store(tmp_path / "a.zip", other)


def test_random_damage_to_an_archive_never_brings_in_a_wrong_row(filled, log, make_rows, tmp_path):
    export_store(filled, tmp_path / "a.zip", durability="none")
    whole = (tmp_path / "a.zip").read_bytes()
    keys, vectors = make_rows(0, 12)
    generator = np.random.default_rng(7)
    for number in range(60):
        data = bytearray(whole)
        # Half of the damage goes into the directory, which is a small part of the file.
        start = 0 if number % 2 else len(data) - 900
        data[int(generator.integers(start, len(data)))] ^= int(generator.integers(1, 256))
        (tmp_path / "bad.zip").write_bytes(data)
        fresh = FeatureStore(tmp_path / f"fresh{number}", durability="none")
        try:
            report = import_store(tmp_path / "bad.zip", fresh)
        except UnsafeArchive:
            assert not fresh.exists()
            continue
        assert report.segments + len(report.problems) == 3
        assert verify(fresh, rows=True) == []
        mine = fresh.log(log.record)
        found = mine.locate(keys)
        here = np.flatnonzero(found.found)
        np.testing.assert_array_equal(mine.read(found, here), vectors[here])


def test_memory_is_bounded_by_one_segment(tmp_path, make_keys):
    source = FeatureStore(tmp_path / "source", durability="none")
    log = source.open(Fingerprint.of("wide", {}), 1024, "float32")
    for start in range(0, 3000, 500):  # six segments of 2 MB
        vectors = np.full((500, 1024), start + 1, np.float32)
        log.append(make_keys(start, start + 500), vectors, {})
    tracemalloc.start()
    export_store(source, tmp_path / "a.zip", durability="none")
    import_store(tmp_path / "a.zip", FeatureStore(tmp_path / "target", durability="none"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A segment's bytes, its parsed copy, and one more copy within the parser.
    assert peak < 4 * 2.2e6
    assert stats(FeatureStore(tmp_path / "target")).rows == 3000


def test_no_room_for_an_archive_leaves_nothing(filled, tmp_path):
    code = (
        "import resource, sys; from store import FeatureStore, StoreFull, export_store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try: export_store(FeatureStore(sys.argv[1]), sys.argv[2], durability='none')\n"
        "except StoreFull as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, filled.address, str(tmp_path / "a.zip")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert "expected room for" in done.stdout, done.stderr
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".tmp-*"))
