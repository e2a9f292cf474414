"""Things put into a store that are no segments: refused or ignored, in bounded time and memory, without a trace.

Cases 21, 22, 72, 75 and 78 of docs/reliability.md; what the two formats refuse is in test_segment_abuse.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle  # only to make what must never be loaded
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import CorruptMatrix, FeatureStore, Fingerprint, FingerprintMismatch, list_encoders, open_matrix, verify
from store.segments.segment import SegmentName, build_segment
from tests.store.care.sound import assert_store_ok, model_of
from tests.store.segments.test_abuse import ZARR_ABUSES, edit, rezip

DIM = 6
ROOT = Path(__file__).parents[3]


@pytest.fixture
def planted(tmp_path, fingerprint, make_rows):
    """A sound store of ten rows, and a way to put more into its folder of segments."""
    keys, vectors = make_rows(0, 10)
    store = FeatureStore(tmp_path / "store", durability="none")
    log = store.open(fingerprint, DIM, "float32")
    log.append(keys, vectors, {})
    return store, Path(log.shown) / "segments", model_of(keys, vectors)


def name_for(data: bytes, rows: int = 20, format_: str = "zarr.zip") -> str:
    return str(SegmentName(format_, rows, len(data), hashlib.sha256(data).hexdigest()))


# Other kinds of files


def make_device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))  # /dev/null, which ends at once
    except OSError as error:
        pytest.skip(f"needs the right to make a device: {error}")


def make_socket(path: Path, _: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
        os.rename("s", path.name)  # noqa: PTH104
    finally:
        os.chdir(here)


STRANGERS = {
    "a link to a secret": lambda path, secret: path.symlink_to(secret),
    "a link to itself": lambda path, _: path.symlink_to(path),
    "a link to nothing": lambda path, secret: path.symlink_to(secret.with_name("nothing")),
    "a link to a device": lambda path, _: path.symlink_to("/dev/null"),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a device": make_device,
    "a socket": make_socket,
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_only_regular_files_are_read_and_nothing_hangs(planted, tmp_path, segment, kind):
    store, folder, model = planted
    name, data = build_segment("zarr.zip", segment)
    secret = tmp_path / "secret"
    secret.write_bytes(data)  # even right content is not read through a link: who may write here may not read there
    STRANGERS[kind](folder / name, secret)
    start = time.monotonic()
    assert len(assert_store_ok(store, model, damaged={name})) == 10
    assert time.monotonic() - start < 5
    if kind in ("a FIFO", "a device"):  # for what it is, and not for its content
        assert "regular file" in verify(store)[0].what
    record = folder.parent / "encoder.json"
    record.rename(tmp_path / "record")
    STRANGERS[kind](record, tmp_path / "record")
    with pytest.raises(FingerprintMismatch):
        FeatureStore(store.address).log(store.open(*opened(folder, tmp_path)).record)


def opened(folder: Path, tmp_path: Path):
    """What `open` needs, from the record that was put aside."""
    fields = json.loads((tmp_path / "record").read_bytes())
    assert folder.parent.name.startswith(fields["encoder"])
    return Fingerprint.of(fields["encoder"], fields["record"]), fields["dim"], fields["dtype"]


def test_a_hard_link_is_a_file_like_any_other(planted, tmp_path):
    store, folder, model = planted
    (segment,) = folder.iterdir()
    os.link(segment, tmp_path / "elsewhere")
    assert len(assert_store_ok(store, model)) == 10
    (tmp_path / "elsewhere").write_bytes(b"altered through its other name")
    assert assert_store_ok(store, model, damaged={segment.name}) == set()


# Names


def test_strange_names_are_ignored_and_never_reach_a_terminal(planted, caplog):
    store, folder, model = planted
    (good,) = (path.name for path in folder.iterdir())
    names = [
        "\x1b[2J\x1b]0;owned\x07", "two\nlines", "x" * 255, good.upper(), good.replace("zarr", "Zarr"), good + "\n",
        f"{good} ", f".{good}", "zarr.zip-\u0661-1-" + "a" * 64 + ".zarr.zip", "\udcff\udcfe", "..zarr.zip", "-rf", "~",
    ]  # fmt: skip
    for name in names:
        (folder / name).write_bytes(b"?")
    with caplog.at_level(logging.DEBUG):
        assert len(assert_store_ok(store, model)) == 10
        (summary,) = list_encoders(store)
    assert len(summary.foreign) == len(names)
    said = " ".join(summary.foreign) + "".join(record.getMessage() for record in caplog.records)
    assert said.isprintable()


@pytest.mark.parametrize("record", [b"?", None], ids=["garbled", "missing"])
def test_a_folder_with_a_strange_name_is_told_without_its_control_characters(planted, caplog, record):
    store, _, _ = planted
    folder = Path(store.address) / "v1" / "\x1b[2Jevil\nstore is sound"
    (folder / "segments").mkdir(parents=True)
    if record is not None:
        (folder / "encoder.json").write_bytes(record)
    with caplog.at_level(logging.DEBUG):
        assert len(store.logs()) == 1
        (problem,) = verify(store)
    said = problem.what + "".join(each.getMessage() for each in caplog.records)
    assert "evil" in said or record is None
    assert said.isprintable()


@pytest.mark.parametrize("name", ["../../outside", "a/b", "\0", "", ".", "x" * 5000])
def test_a_name_that_leads_elsewhere_opens_and_removes_nothing(planted, tmp_path, name):
    store, _, model = planted
    cached = FeatureStore(store.address, cache=tmp_path / "a" / "b" / "cache")
    (log,) = cached.logs()
    log.locate(np.zeros((1, 32), np.uint8))
    outside = [tmp_path / "a" / "b" / "cache" / "outside.keys", tmp_path / "store" / "v1" / "outside"]
    for path in outside:
        path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="expected the name of a segment"):
        log.files.read(name)
    assert all(path.read_bytes() == b"mine" for path in outside)
    assert len(assert_store_ok(store, model)) == 10


# Code that waits to be run


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def test_a_pickle_is_never_loaded(planted, tmp_path):
    store, folder, model = planted
    marker = tmp_path / "was-run"
    bomb = pickle.dumps(Payload(marker))
    array = tmp_path / "array.npy"
    np.save(array, np.array([Payload(marker)], dtype=object), allow_pickle=True)
    damaged = set()
    for data in (bomb, array.read_bytes()):
        for format_ in ("zarr.zip", "h5"):
            name = name_for(data, format_=format_)
            (folder / name).write_bytes(data)
            damaged.add(name)
    for name in ("x.npy", "x.pt", "x.joblib", "x.pkl", "encoder.pickle"):
        (folder / name).write_bytes(bomb)
        (folder.parent / name).write_bytes(bomb)
    cache = tmp_path / "cache"
    (log,) = FeatureStore(store.address, cache=cache).logs()
    log.locate(np.zeros((1, 32), np.uint8))
    for table in cache.rglob("*.keys"):
        table.write_bytes(bomb)
    (log,) = FeatureStore(store.address, cache=cache).logs()
    log.locate(np.zeros((1, 32), np.uint8))
    assert len(assert_store_ok(store, model, damaged=damaged)) == 10
    for suffix in (".zarr.zip", ".h5"):
        (tmp_path / f"matrix{suffix}").write_bytes(bomb)
        with pytest.raises(CorruptMatrix):
            open_matrix(tmp_path / f"matrix{suffix}")
    (folder.parent / "encoder.json").write_bytes(bomb)
    with pytest.raises(FingerprintMismatch):
        store.log(log.record)
    assert not marker.exists()
    pickle.loads(bomb)  # noqa: S301 (the check of the check)
    assert marker.exists()


# Time and memory

BOUNDED = """
import json, resource, sys, time
from store import FeatureStore, verify
import zarr, h5py
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
(log,) = FeatureStore(sys.argv[1]).logs()
answers = {}
for name in log.segments():
    start = time.monotonic()
    try:
        log.files.read(name)
        answer = "read"
    except Exception as error:
        answer = type(error).__name__
    answers[name] = [answer, time.monotonic() - start]
print(json.dumps(answers))
"""


def bombs(segment) -> Iterator[tuple[str, bytes]]:
    """Names that fit and contents that ask for far more than they hold."""
    generator = np.random.default_rng(0)
    _, zarr = build_segment("zarr.zip", segment)
    for format_ in ("zarr.zip", "h5"):
        for size in (1, 22, 1000, 1_000_000):
            data = generator.bytes(size)
            yield name_for(data, format_=format_), data
    for abuse in ("a huge shape", "a huge dimension", "a JSON bomb"):
        data = rezip(zarr, ZARR_ABUSES[abuse])
        yield name_for(data), data
    for shape in ([4_000_000, 1_000_000], [4_000_000, 6]):
        data = rezip(zarr, edit("vectors/zarr.json", shape=shape))
        yield name_for(data, rows=4_000_000), data
    yield name_for(zarr, rows=9_999_999_999), zarr
    yield str(SegmentName("zarr.zip", 20, 9_999_999_999, "0" * 64)), zarr
    for shape in ((4_000_000, 1_000_000), (10**13, 6), (20, 10**12)):
        file = io.BytesIO(build_segment("h5", segment)[1])
        with h5py.File(file, "r+") as archive:
            del archive["vectors"]
            archive.create_dataset("vectors", shape=shape, dtype="f4", chunks=(20, 6), fletcher32=True)
        yield name_for(file.getvalue(), rows=min(shape[0], 4_000_000), format_="h5"), file.getvalue()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know the size of a process")
def test_contents_that_ask_for_too_much_are_refused_in_bounded_time_and_memory(planted, segment):
    store, folder, model = planted
    made = dict(bombs(segment))
    for name, data in made.items():
        (folder / name).write_bytes(data)
    command = [sys.executable, "-c", BOUNDED, store.address]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(made) == 18
    assert {name: answers[name][0] for name in made} == dict.fromkeys(made, "CorruptSegment")
    assert [name for name in answers if name not in made and answers[name][0] != "read"] == []
    assert max(seconds for _, seconds in answers.values()) < 2
    assert len(assert_store_ok(store, model, damaged=made)) == 10
