"""The tables of keys that a machine remembers: damaged, swapped or left behind, they cost time and change no answer.

Case 19 of docs/reliability.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from store import EncoderLog, FeatureStore
from tests.store.care.sound import assert_store_ok, damaged_copies, model_of
from tests.store.files.small_disk import resize, small_disk

DIM = 6
ROOT = Path(__file__).parents[3]


@pytest.fixture
def segment_format() -> str:
    """The tables are the same for both."""
    return "zarr.zip"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def remembered(store, fingerprint, halves, cache):
    """Open the log with a cache that was filled by another client."""

    def opened(folder: Path = cache) -> EncoderLog:
        return FeatureStore(store.backend, cache=folder).open(fingerprint, DIM, "float32")

    assert opened().locate(halves[0]).found.all()
    return opened


def tables(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.keys"))


def test_a_damaged_or_truncated_table_is_made_again(remembered, halves, cache, store):
    keys, vectors, _ = halves
    table = tables(cache)[0]
    good = table.read_bytes()
    for data in [*damaged_copies(good), good + b"\0", b"x" * 1_000_000]:
        table.write_bytes(data)
        log = remembered()
        np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
        assert table.read_bytes() == good
    assert len(assert_store_ok(store, model_of(keys, vectors))) == 20


def test_swapped_tables_are_made_again(remembered, halves, cache):
    keys, vectors, _ = halves
    one, two = tables(cache)
    before = one.read_bytes(), two.read_bytes()
    one.write_bytes(before[1])
    two.write_bytes(before[0])
    log = remembered()
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
    assert (one.read_bytes(), two.read_bytes()) == before


def test_the_table_of_a_segment_that_is_gone_finds_nothing_and_is_dropped(remembered, halves, cache):
    keys, _, (first, second) = halves
    first.unlink()
    found = remembered().locate(keys)
    assert found.found.tolist() == [False] * 10 + [True] * 10
    assert [table.name for table in tables(cache)] == [f"{second.name}.keys"]


def test_the_tables_of_another_root_find_nothing(remembered, halves, cache, tmp_path, fingerprint, make_rows):
    keys, vectors, _ = halves
    other = FeatureStore(tmp_path / "other", durability="none", cache=cache)
    other.open(fingerprint, DIM, "float32").append(*make_rows(10, 30), {})
    (ours,) = {table.parent for table in tables(cache) if "-10-" in table.name}
    (theirs,) = {table.parent for table in tables(cache) if "-20-" in table.name}
    assert ours != theirs
    for table in theirs.iterdir():
        shutil.copy(table, ours)
    log = remembered()
    found = log.locate(make_rows(0, 30)[0])
    assert found.found.tolist() == [True] * 20 + [False] * 10
    np.testing.assert_array_equal(log.read(found, slice(0, 20)), vectors)
    assert len(tables(ours)) == 2
    assert other.open(fingerprint, DIM, "float32").locate(keys).found.tolist() == [False] * 10 + [True] * 10


def test_two_roots_of_one_relative_name_have_tables_of_their_own(cache, tmp_path, fingerprint, make_rows, monkeypatch):
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        log = FeatureStore("store", durability="none", cache=cache).open(fingerprint, DIM, "float32")
        log.append(*make_rows(number * 10, number * 10 + 10), {})
        assert log.locate(make_rows(0, 20)[0]).found.sum() == 10
    assert len({table.parent for table in tables(cache)}) == 2


@pytest.mark.parametrize("kind", ["a file", "a circle of links", "a name that is too long", "below a file", "a FIFO"])
def test_a_place_that_keeps_no_tables_costs_time_only(remembered, halves, tmp_path, kind):
    keys, vectors, _ = halves
    place = tmp_path / "place"
    if kind == "a file":
        place.write_bytes(b"")
    elif kind == "a circle of links":
        place.symlink_to(place)
    elif kind == "a name that is too long":
        place = tmp_path / ("x" * 300)
    elif kind == "below a file":
        (tmp_path / "file").write_bytes(b"")
        place = tmp_path / "file" / "deep"
    else:
        os.mkfifo(place)
    log = remembered(place)
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)


def test_something_else_in_place_of_a_table_is_replaced(remembered, halves, cache, tmp_path):
    keys, vectors, _ = halves
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    one, two = tables(cache)
    for table in (one, two):
        table.unlink()
    one.symlink_to(outside)
    os.mkfifo(two)
    log = remembered()
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
    assert outside.read_bytes() == b"mine"
    assert all(table.is_file() and not table.is_symlink() for table in tables(cache))


def test_a_read_only_or_full_place_is_still_read(remembered, halves, tmp_path, cache, make_rows):
    keys, vectors, _ = halves
    with small_disk(tmp_path / "disk", "64k") as disk:
        shutil.copytree(cache, disk / "cache")
        resize(disk, "ro")
        log = remembered(disk / "cache")
        np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
        resize(disk, "rw")
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        more_keys, more = make_rows(20, 30)
        remembered().append(more_keys, more, {})
        log = remembered(disk / "cache")
        np.testing.assert_array_equal(log.read(log.locate(more_keys), slice(None)), more)
        assert len(tables(disk)) == 2


LOOKUPS = """
import sys
from pathlib import Path
import numpy as np
from store import FeatureStore
cache, root = Path(sys.argv[1]), sys.argv[2]
keys = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(-1, 32)
for turn in range(40):
    (log,) = FeatureStore(root, cache=cache).logs()
    assert log.locate(keys).found.all()
    if turn % 4 == 3:  # now and then one of them is forgotten, while the other reads
        for table in cache.rglob("*.keys"):
            table.unlink(missing_ok=True)
"""


def test_two_processes_may_share_the_tables(store, halves, cache):
    keys, vectors, _ = halves
    command = [sys.executable, "-c", LOOKUPS, str(cache), store.address]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stderr=pipe) for _ in range(2)]
    for process in both:
        process.stdin.write(keys.tobytes())
        process.stdin.close()
        process.stdin = None
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert list(cache.rglob(".tmp-*")) == []
    assert len(assert_store_ok(store, model_of(keys, vectors))) == 20
