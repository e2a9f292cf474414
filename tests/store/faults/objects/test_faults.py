"""An object storage that fails, loses answers, is busy or lists old names.

Cases 2, 3, 33, 35, 36, 38, 39 and 40 of docs/reliability.md.
"""

from __future__ import annotations

import errno

import numpy as np
import pytest

from store import (
    EncoderLog,
    FingerprintMismatch,
    StoreError,
    StoreFull,
    StoreNotReadable,
    StoreNotWritable,
    StoreUnreachable,
)
from tests.store.faults.objects.fault_fs import Call, Fault, Killed, after, at, busy, expired

ATTEMPTS = 6
ANSWERS = {
    "timeout": TimeoutError("no answer"),
    "connection reset": ConnectionResetError(errno.ECONNRESET, "reset"),
    "412": FileExistsError("At least one of the pre-conditions you specified did not hold"),
    "412 in other words": OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold"),
    "409": OSError(errno.EBUSY, "ConditionalRequestConflict"),
    "500": OSError(errno.EREMOTEIO, "We encountered an internal error."),
    "403": PermissionError("Access Denied"),
}


@pytest.fixture
def requests(make_cloud) -> list[Call]:
    """All that the usual work asks of the storage."""
    cloud = make_cloud()
    store, files = cloud.client()
    cloud.work(store)
    return files.calls


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), TimeoutError("slow"), busy()], ids=repr)
def test_one_failed_request_at_any_place_changes_nothing(make_cloud, requests, pauses, error):
    for number in range(1, len(requests) + 1):
        cloud = make_cloud()
        cloud.work(cloud.client(at(number, error))[0])
        assert cloud.kept() == 20
    assert pauses


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), TimeoutError("slow")], ids=repr)
def test_a_storage_that_goes_away_at_any_request_is_a_clean_error_and_a_retry_succeeds(
    make_cloud, requests, pauses, error
):
    for number in range(1, len(requests) + 1):
        cloud = make_cloud()
        store, _ = cloud.client(after(number, error))
        with pytest.raises(StoreUnreachable, match=r"^expected .* at s3://bucket/root.*, found .*; .*run again"):
            cloud.work(store)
        kept = cloud.kept()
        assert kept in (0, 10, 20)
        cloud.work(cloud.client()[0])
        assert cloud.kept() == 20
        assert len([name for name in cloud.names() if "/.tmp-" in name]) <= 1
    assert pauses


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_client_killed_at_any_request_leaves_whole_segments(make_cloud, requests, acted):
    seen = set()
    for number in range(1, len(requests) + 1):
        cloud = make_cloud()
        store, _ = cloud.client(at(number, Killed(), acted=acted))
        with pytest.raises(Killed):
            cloud.work(store)
        kept = cloud.kept()
        seen.add(kept)
        cloud.work(cloud.client()[0])
        assert cloud.kept() == 20
    assert seen == {0, 10, 20}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_lost_answer_to_any_write_is_no_error_and_the_row_is_there_once(make_cloud, requests, pauses, answer):
    published = [call.number for call in requests if call.operation == "pipe_file" and "/.tmp-" not in call.path]
    assert len(published) >= 3  # the record and two segments
    for number in published:
        cloud = make_cloud()
        store, files = cloud.client(at(number, ANSWERS[answer], acted=True))
        cloud.work(store)
        assert files.calls[number - 1].operation == "pipe_file"
        assert cloud.kept() == 20
        assert len(cloud.log(cloud.client()[0]).segments()) == 2
    assert pauses == []  # the look at what lies there decides at once


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_lost_answer_while_healing_is_no_error_either(cloud, make_rows, pauses, answer):
    keys, vectors = make_rows(0, 10)
    name = cloud.log(cloud.client()[0]).append(keys, vectors, {})
    (path,) = [each for each in cloud.names() if each.endswith(name)]

    def plan(call: Call) -> Fault | None:
        overwrites = call.path == path and [each.path for each in files.calls if each.writes].count(path) == 2
        return Fault(ANSWERS[answer], acted=True) if call.operation == "pipe_file" and overwrites else None

    store, files = cloud.client(plan)
    files.inner.pipe_file(path, b"damaged")
    assert cloud.log(store).append(keys, vectors, {}) == name
    assert [call.operation for call in files.calls if call.path == path and call.writes] == ["pipe_file"] * 2
    assert cloud.kept() == 10
    assert pauses == []


def test_five_busy_answers_are_waited_out_ever_longer(cloud, requests, pauses):
    first = next(call.number for call in requests if call.operation == "pipe_file" and "/segments/zarr" in call.path)
    busy_times = iter([busy()] * (ATTEMPTS - 1))

    def plan(call: Call) -> Fault | None:
        error = next(busy_times, None) if call.operation == "pipe_file" and call.number >= first else None
        return Fault(error) if error else None

    cloud.work(cloud.client(plan)[0])
    assert cloud.kept() == 20
    assert len(pauses) == ATTEMPTS - 1
    assert pauses == sorted(pauses)
    assert 0.5 < sum(pauses) < 3


def test_six_busy_answers_are_a_clean_error_and_what_was_stored_is_kept(cloud, requests, pauses):
    second = [call.number for call in requests if call.operation == "pipe_file" and "/segments/zarr" in call.path][1]
    store, files = cloud.client(after(second, busy(), writes_only=True))
    with pytest.raises(StoreUnreachable, match="reduce your request rate"):
        cloud.work(store)
    assert len([call for call in files.calls if call.number >= second and call.writes]) == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1
    assert cloud.kept() == 10


def test_an_old_listing_costs_misses_and_is_never_wrong(cloud, make_rows):
    keys, vectors = make_rows(0, 30)
    writer, reader = cloud.client()[0], cloud.client()
    cloud.log(writer).append(keys[:10], vectors[:10], {})
    reader[1].freeze(cloud.prefix)
    cloud.log(writer).append(keys[10:20], vectors[10:20], {})
    log = cloud.log(reader[0])
    found = log.locate(keys)
    assert found.found.tolist() == [True] * 10 + [False] * 20
    np.testing.assert_array_equal(log.read(found, slice(0, 10)), vectors[:10])
    log.append(keys[10:], vectors[10:], {})  # computed once more than needed, among others
    reader[1].thaw()
    assert log.locate(keys).found.all()
    assert cloud.kept() == 30


def test_a_listing_that_still_shows_what_is_gone_costs_misses(cloud, make_rows):
    keys, vectors = make_rows(0, 20)
    writer = cloud.log(cloud.client()[0])
    name = writer.append(keys[:10], vectors[:10], {})
    writer.append(keys[10:], vectors[10:], {})
    store, files = cloud.client()
    log = cloud.log(store)
    files.freeze(cloud.prefix)
    writer.files.backend.remove(f"{log.folder}/segments/{name}")
    found = log.locate(keys)
    assert found.found.tolist() == [False] * 10 + [True] * 10
    assert found.corrupt == ()
    files.thaw()
    assert cloud.kept() == 10


def test_a_listing_from_before_everything_costs_a_recompute(cloud):
    store, files = cloud.client()
    files.freeze(cloud.prefix)
    cloud.work(cloud.client()[0])
    log = cloud.log(store)
    assert not log.locate(cloud.make_rows(0, 20)[0]).found.any()
    assert log.append(*cloud.make_rows(0, 10), {}) in cloud.log(cloud.client()[0]).segments()
    assert cloud.kept() == 20


def test_a_storage_that_overwrites_although_asked_to_create_is_right_too(cloud, make_rows):
    store, files = cloud.client()
    files.ignores_conditions = True
    cloud.work(store)
    cloud.work(store)
    assert cloud.kept() == 20
    (record,) = [name for name in cloud.names() if name.endswith("encoder.json")]
    log = cloud.log(store)
    other = files.inner.cat_file(record).replace(b"sha256:00", b"sha256:01")
    files.inner.pipe_file(record, other)
    with pytest.raises(FingerprintMismatch):
        log.append(*make_rows(20, 30), {})
    assert files.inner.cat_file(record) == other


def test_a_failed_write_leaves_no_object_under_the_final_name(cloud, requests, pauses):
    # Nothing of a segment is written piece by piece: the fake storage refuses to be opened for that.
    first = next(call.number for call in requests if call.operation == "pipe_file")
    store, _ = cloud.client(after(first, OSError(errno.EIO, "lost")))
    with pytest.raises(StoreUnreachable):
        cloud.work(store)
    assert cloud.names() == []
    assert pauses


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (expired(), StoreNotWritable, "renew the credentials"),
        (OSError(errno.ENOSPC, "quota"), StoreFull, "free some space"),
        (FileNotFoundError("The specified bucket does not exist"), StoreUnreachable, "a bucket that exists"),
        (OSError(errno.EINVAL, "The authorization header is malformed"), StoreUnreachable, "AWS_ENDPOINT_URL"),
    ],
    ids=["expired", "full", "no bucket", "header"],
)
@pytest.mark.usefixtures("pauses")
def test_a_refused_write_says_what_to_do(cloud, error, kind, advice):
    store, _ = cloud.client(lambda call: Fault(error) if call.writes else None)
    with pytest.raises(kind, match=advice):
        cloud.work(store)
    assert cloud.names() == []


def test_a_refused_read_says_what_to_do(cloud):
    cloud.work(cloud.client()[0])
    store, _ = cloud.client(lambda _: Fault(expired()))
    with pytest.raises(StoreNotReadable, match=r"expired.*renew the credentials"):
        cloud.log(store)
    assert cloud.kept() == 20


def test_a_key_that_may_only_read_is_found_out_before_anything_is_computed(cloud, make_rows):
    cloud.work(cloud.client()[0])
    store, files = cloud.client(lambda call: Fault(PermissionError("Access Denied")) if call.writes else None)
    log: EncoderLog = cloud.log(store)
    keys, vectors = make_rows(0, 20)
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
    assert not [call for call in files.calls if call.writes]
    with pytest.raises(StoreNotWritable, match="ask for this right"):
        log.probe_writable()


def test_a_probe_that_could_not_be_removed_is_nobodys_segment(cloud):
    # A writer who may put and not delete, as the threat model asks for.
    store, files = cloud.client(lambda call: Fault(PermissionError("no")) if call.operation == "rm_file" else None)
    cloud.log(store).probe_writable()
    assert len(cloud.names()) == 1
    assert not cloud.log(cloud.client()[0]).compared
    cloud.work(store)
    assert cloud.kept() == 20
    assert files.calls


def test_no_fault_means_no_pause_and_no_error(cloud, pauses):
    cloud.work(cloud.client()[0])
    assert pauses == []
    assert cloud.kept() == 20
    with pytest.raises(StoreError):  # the check of the check: a wrong vector would be seen
        cloud.log(cloud.client()[0]).read(cloud.log(cloud.client()[0]).locate(cloud.make_rows(30, 31)[0]), slice(None))
