"""A matrix that was verified is not hashed again while it is the same file, and is whenever it may not be."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from store import CorruptMatrix, MatrixBlock, MatrixHeader, open_matrix, remember_verifications, write_matrix
from store.matrices.digest import MatrixDigest
from store.trust.verified import FileStamp, VerifiedFiles

VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype("f4")
CONTEXT = multiprocessing.get_context("forkserver")


def write(path: Path, first: float = 1.0) -> None:
    header = MatrixHeader([f"id{i}" for i in range(40)], 3, "float32", np.zeros(3))
    vectors = VECTORS.copy()
    vectors[0, 0] = first
    write_matrix(path, header, [MatrixBlock(vectors, np.ones(40, bool), np.ones(40, bool))], durability="none")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests not wait for two seconds each: the rule itself has its own test."""
    monkeypatch.setattr("store.trust.verified._TICK_NS", -60_000_000_000)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows that were hashed, one number for each portion."""
    rows: list[int] = []
    update = MatrixDigest.update

    def counted(self: MatrixDigest, block: MatrixBlock) -> None:
        rows.append(len(block.present))
        update(self, block)

    monkeypatch.setattr(MatrixDigest, "update", counted)
    return rows


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def known(matrix_path: Path, memory: Path, request: pytest.FixtureRequest, hashed: list[int]) -> Path:
    """A matrix that was verified and remembered."""
    request.getfixturevalue("settled")
    write(matrix_path)
    open_matrix(matrix_path, memory=memory)
    assert sum(hashed) >= 40
    hashed.clear()
    return matrix_path


def only_entry(memory: Path) -> Path:
    (entry,) = memory.iterdir()
    return entry


def flip(path: Path) -> None:
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(data.index(VECTORS[5].tobytes()))
        file.write(b"\x7f")


def test_the_second_open_reads_no_row(known, memory, hashed):
    matrix = open_matrix(known, memory=memory)
    assert hashed == []
    np.testing.assert_array_equal(matrix.block(1, 40), VECTORS[1:])
    link = known.with_name(f"link-{known.name}")
    link.symlink_to(known)
    open_matrix(link, memory=memory)
    assert hashed == []


def test_without_a_memory_every_open_verifies(known, hashed):
    open_matrix(known)
    assert sum(hashed) == 40
    open_matrix(known, verify=False)
    assert sum(hashed) == 40


def test_structure_is_checked_however_well_a_file_is_known(known, memory, monkeypatch):
    monkeypatch.setattr(VerifiedFiles, "knows", lambda *_: True)
    data = known.read_bytes()
    known.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptMatrix):
        open_matrix(known, memory=memory)


def test_a_byte_flipped_in_place_is_found_even_with_its_old_date(known, memory):
    status = known.stat()
    flip(known)
    os.utime(known, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (known.stat().st_size, known.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    with pytest.raises(CorruptMatrix):
        open_matrix(known, memory=memory)


def test_a_replaced_file_is_verified_again(known, memory, hashed):
    status = known.stat()
    other = known.with_name(f"other-{known.name}")
    write(other, 2.0)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(known)
    hashed.clear()
    assert open_matrix(known, memory=memory).block(0, 1)[0, 0] == 2
    assert sum(hashed) == 40
    damaged = known.with_name(f"damaged-{known.name}")
    shutil.copy2(known, damaged)
    flip(damaged)
    damaged.replace(known)
    with pytest.raises(CorruptMatrix):
        open_matrix(known, memory=memory)


@pytest.mark.parametrize("garbage", [b"", b"{}", b"\0" * 100, b"[" * 100_000, None])
def test_a_garbled_memory_is_no_memory(known, memory, hashed, garbage):
    entry = only_entry(memory)
    entry.write_bytes(entry.read_bytes()[:-1] if garbage is None else garbage)
    open_matrix(known, memory=memory)
    assert sum(hashed) == 40
    open_matrix(known, memory=memory)
    assert sum(hashed) == 40


@pytest.mark.parametrize("field", ["path", "digest", "format_version", "device", "inode", "size", "mtime_ns", "schema"])
def test_every_field_of_an_entry_counts(known, memory, hashed, field):
    entry = only_entry(memory)
    content = json.loads(entry.read_bytes())
    content[field] = f"{content[field]}0" if isinstance(content[field], str) else content[field] + 1
    entry.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")))
    open_matrix(known, memory=memory)
    assert sum(hashed) == 40


def test_an_entry_of_another_path_counts_for_nothing(known, memory, hashed):
    copy = known.with_name(f"copy-{known.name}")
    os.link(known, copy)  # all but the path is the same
    open_matrix(known, memory=memory)
    hashed.clear()
    open_matrix(copy, memory=memory)
    assert sum(hashed) == 40
    first, second = memory.iterdir()
    first.write_bytes(second.read_bytes())
    for path in (known, copy):
        open_matrix(path, memory=memory)
    assert sum(hashed) == 80


def test_a_file_as_young_as_a_clock_tick_is_not_remembered(matrix_path, memory, hashed):
    write(matrix_path)
    hashed.clear()
    for _ in range(2):
        open_matrix(matrix_path, memory=memory)
    assert sum(hashed) == 80
    assert not memory.exists()


def test_a_file_from_the_future_is_not_remembered(known, memory, monkeypatch):
    monkeypatch.undo()
    only_entry(memory).unlink()
    os.utime(known, (4e9, 4e9))
    open_matrix(known, memory=memory)
    assert list(memory.iterdir()) == []


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(matrix_path, memory):
    write(matrix_path)
    with matrix_path.open("rb") as file:
        stamp = FileStamp.of(file.fileno())
    os.utime(matrix_path)
    VerifiedFiles(memory).remember(matrix_path, stamp, "ab", 1)
    assert not memory.exists()


@pytest.mark.parametrize("obstacle", ["a file in its place", "no room", "a folder as entry"])
@pytest.mark.usefixtures("settled")
def test_a_memory_that_cannot_be_written_is_no_error(matrix_path, memory, hashed, monkeypatch, obstacle):
    write(matrix_path)
    if obstacle == "a file in its place":  # also stands for a read-only folder, which would not stop root
        memory.write_bytes(b"")
    elif obstacle == "no room":
        monkeypatch.setattr("store.files.publish.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    else:
        with matrix_path.open("rb") as file:
            entry, _ = VerifiedFiles(memory)._entry(matrix_path, FileStamp.of(file.fileno()), "", 1)
        entry.mkdir(parents=True)
    hashed.clear()
    for _ in range(2):
        open_matrix(matrix_path, memory=memory)
    assert sum(hashed) == 80


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_memory_still_serves(known, memory, hashed):
    memory.chmod(0o500)
    try:
        open_matrix(known, memory=memory)
        assert hashed == []
        os.utime(known)
        open_matrix(known, memory=memory)
    finally:
        memory.chmod(0o700)
    assert sum(hashed) == 40


def test_entries_of_files_that_are_gone_are_dropped(known, memory):
    other = known.with_name(f"other-{known.name}")
    write(other)
    open_matrix(other, memory=memory)
    left = memory / ".tmp-host-1-0"
    left.write_bytes(b"")
    os.utime(left, (0, 0))
    (memory / "README").write_bytes(b"not ours")
    other.unlink()
    os.utime(known)
    open_matrix(known, memory=memory)
    assert sorted(path.suffix for path in memory.iterdir()) == ["", ".json"]


def test_entries_are_bounded(known, memory, tmp_path, monkeypatch):
    monkeypatch.setattr("store.trust.verified._MOST_ENTRIES", 3)
    for number in range(6):
        path = tmp_path / f"{number}-{known.name}"
        write(path)
        open_matrix(path, memory=memory)
    assert len(list(memory.iterdir())) == 3
    assert any(str(path) in entry.read_text() for entry in memory.iterdir())


def test_the_process_may_have_a_memory_of_its_own(known, memory, hashed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    try:
        remember_verifications(Path(memory.name))
        monkeypatch.chdir("/")  # the folder stays the one that was named
        open_matrix(known)
        assert hashed == []
        open_matrix(known, memory=tmp_path / "other")
        assert sum(hashed) == 40
    finally:
        remember_verifications(None)
    open_matrix(known)
    assert sum(hashed) == 80


def open_often(path: Path, memory: Path, queue) -> None:
    from store.trust import verified

    verified._TICK_NS = -60_000_000_000
    try:
        for turn in range(30):
            assert open_matrix(path, memory=memory).digest
            if turn % 5 == 0:
                for entry in memory.glob("*.json"):
                    entry.unlink(missing_ok=True)
        queue.put("")
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent waits for it)
        queue.put(repr(error))


def test_two_processes_share_a_memory(known, memory, hashed):
    only_entry(memory).unlink()
    queue = CONTEXT.Queue()
    workers = [CONTEXT.Process(target=open_often, args=(known, memory, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=60) for _ in workers] == ["", ""]
    for worker in workers:
        worker.join(60)
    open_matrix(known, memory=memory)
    assert hashed == []
    only_entry(memory)
