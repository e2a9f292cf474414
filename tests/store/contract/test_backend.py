"""What every backend promises, tried on a folder, on `memory://` and on S3: reliability.md case 41."""

from __future__ import annotations

import time

import pytest

from store import UnsupportedStore
from store.backends.address import open_backend

DATA = bytes(range(256)) * 7


def test_where_nothing_is_nothing_is_found_and_nothing_is_made(place):
    backend = place.backend()
    assert not backend.exists("")
    assert not backend.exists("v1")
    assert (backend.files("v1"), backend.folders("v1"), backend.folders("")) == ([], [], [])
    with pytest.raises(FileNotFoundError):
        backend.read("v1/name", 10)
    with pytest.raises(FileNotFoundError):
        backend.move("v1/name", "v1/other")
    backend.remove("v1/name")
    assert backend.uploads() == []
    assert [name for name in place.names() if name.startswith("v1")] == []


def test_what_one_client_publishes_another_lists_and_reads(place):
    names = sorted(["name", "with space", "é", "a+b%20&=?#;[1]*", ".tmp-host-1-ff", "x" * 200])
    one, other = place.backend(), place.backend()
    for name in names:
        one.publish(f"v1/deep/{name}", name.encode())
        assert other.read(f"v1/deep/{name}", 1000) == name.encode()
    assert other.exists("v1")
    assert other.exists("v1/deep")
    found = other.files("v1/deep")
    assert [(entry.name, entry.size) for entry in found] == [(name, len(name.encode())) for name in names]
    assert all(abs(entry.modified - other.now()) < 30 for entry in found)
    assert place.names() == [f"v1/deep/{name}" for name in names]


def test_publishing_the_same_bytes_again_succeeds(place):
    one, other = place.backend(), place.backend()
    for backend in (one, one, other):
        backend.publish("a/name", DATA)
    assert place.names() == ["a/name"]


def test_other_content_under_the_name_is_kept_unless_healing(place):
    backend = place.backend()
    for other in (b"", b"other", DATA + b"?", DATA[:-1], DATA[:-1] + b"?"):
        place.put("a/name", other)
        with pytest.raises(FileExistsError):
            backend.publish("a/name", DATA)
        assert place.get("a/name") == other
        backend.publish("a/name", DATA, heal=True)
        assert place.get("a/name") == DATA
    assert place.names() == ["a/name"]


def test_no_bytes_at_all_are_a_file_too(place):
    backend = place.backend()
    backend.publish("a/empty", b"")
    assert [(entry.name, entry.size) for entry in backend.files("a")] == [("empty", 0)]
    assert backend.read("a/empty", 0) == b""
    assert backend.read("a/empty", 100) == b""
    backend.publish("a/empty", b"")
    with pytest.raises(FileExistsError):
        backend.publish("a/empty", b"x")


def test_no_more_is_read_than_was_agreed(place):
    backend = place.backend()
    backend.publish("a/name", DATA)
    assert backend.read("a/name", len(DATA) + 1000) == DATA
    for limit in (len(DATA) - 1, 1, 0):
        with pytest.raises(ValueError, match=f"expected at most {limit} bytes"):
            backend.read("a/name", limit)


def test_the_start_of_a_file_is_read_where_that_is_less_work(place):
    backend = place.backend()
    backend.publish("a/name", DATA)
    backend.publish("a/empty", b"")
    asked = [("name", 10), ("name", 1), ("name", len(DATA)), ("name", len(DATA) + 1000), ("empty", 10)]
    found = [backend.read_start(f"a/{name}", size) for name, size in asked]
    if place.kind == "folder":
        assert found == [None] * 5
        return
    assert found == [DATA[:10], DATA[:1], DATA, DATA, b""]
    with pytest.raises(FileNotFoundError):
        backend.read_start("a/other", 10)


def test_listings_hold_one_level_sorted_files_and_folders_apart(place):
    for path in ("b/two", "b/one", "b/c/three", "b/.hidden/four", "b/a/d/five", "six"):
        place.put(path, path.encode())
    backend = place.backend()
    assert [(entry.name, entry.size) for entry in backend.files("b")] == [("one", 5), ("two", 5)]
    assert backend.folders("b") == ["a", "c"]
    assert [entry.name for entry in backend.files("")] == ["six"]
    assert backend.folders("") == ["b"]
    # "b" is no beginning of a name, but a folder.
    assert backend.files("b/on") == []
    assert not backend.exists("b/on")
    assert backend.files("b/one") == []


def test_a_moved_file_is_under_its_new_name_alone(place):
    backend = place.backend()
    backend.publish("a/name", DATA)
    backend.move("a/name", "trash/2026-01-01/other")
    assert place.names() == ["trash/2026-01-01/other"]
    assert place.get("trash/2026-01-01/other") == DATA
    with pytest.raises(FileNotFoundError):
        backend.move("a/name", "trash/2026-01-01/other")
    assert place.get("trash/2026-01-01/other") == DATA


def test_a_file_moved_to_its_own_name_is_still_there(place):
    backend = place.backend()
    backend.publish("a/name", DATA)
    backend.move("a/name", "a/name")
    assert place.get("a/name") == DATA


def test_a_file_may_be_moved_where_a_copy_lies_already(place):
    # A move that was interrupted half-way on an object store, and is repeated.
    backend = place.backend()
    for path in ("a/name", "trash/name"):
        backend.publish(path, DATA)
    backend.move("a/name", "trash/name")
    assert place.names() == ["trash/name"]


def test_removing_takes_one_file_and_may_be_repeated(place):
    backend = place.backend()
    backend.publish("a/name", DATA)
    backend.publish("a/name2", DATA)
    backend.remove("a/name")
    backend.remove("a/name")
    assert place.names() == ["a/name2"]


def test_probing_and_asking_for_the_time_leave_nothing_behind(place):
    backend = place.backend()
    backend.probe_writable("v1/encoder/segments")
    assert abs(backend.now() - time.time()) < 30
    assert place.names() == []
    assert not backend.exists("v1")


def test_the_storage_and_not_this_machine_tells_the_time(place, monkeypatch):
    backend = place.backend()
    before = time.time()
    monkeypatch.setattr("time.time", lambda: before + 10 * 365 * 86_400)
    if place.kind == "memory":
        pytest.skip("the storage is this process: there is no other clock")
    assert abs(backend.now() - before) < 60


def test_messages_name_the_place(place):
    backend = place.backend()
    assert backend.address == place.address
    assert backend.shown("v1/name") == f"{place.address}/v1/name"
    control = backend.shown("v1/\x1b[2J\nname")
    assert "\x1b" not in control
    assert "\n" not in control


@pytest.mark.slow
def test_a_listing_of_more_than_a_thousand_names_is_whole(place):
    backend = place.backend()
    names = [f"{number:05}" for number in range(1100)]
    for name in names:
        place.put(f"a/{name}", b"x")
    assert [entry.name for entry in backend.files("a")] == names


@pytest.mark.parametrize(
    "address",
    [
        "s3://", "memory://", "s3://user:unsayable@bucket/x", "s3://bucket/x?token=1", "s3://bucket/x#y", "http://host/x",
        "s3://[broken", "memory://a::s3://b", "file://host/x", "gs://bucket/x", "://x", "x" * 5000, "a\0b",
    ],
    ids=lambda address: repr(address)[:30],
)  # fmt: skip
def test_other_addresses_are_wrong_input(address):
    with pytest.raises(UnsupportedStore) as caught:
        open_backend(address)
    assert "unsayable" not in str(caught.value)
    assert caught.value.exit_code == 2
