"""Moving, merging and summing up on an object storage that stops at any request: case 28 of docs/reliability.md."""

from __future__ import annotations

import errno

import pytest

from store import StoreError, StoreUnreachable, conflicts, list_encoders, stats, verify
from store.care.compaction import compact
from tests.store.faults.conftest import Cloud
from tests.store.faults.objects.fault_fs import Call, Fault, Killed, Plan, after, at


def test_a_move_killed_at_any_request_leaves_the_file_under_one_name_or_both(make_cloud):
    for acted in (False, True):
        for number in range(1, 6):
            cloud = make_cloud()
            store, files = cloud.client(at(number, Killed(), acted=acted))
            files.inner.pipe_file(f"{cloud.prefix}/a", b"data")
            try:
                store.backend.move("a", "trash/b")
            except Killed:
                pass
            else:
                assert len(files.calls) < number
            left = {name: files.inner.cat_file(name) for name in cloud.names()}
            assert left
            assert set(left.values()) == {b"data"}
            if f"{cloud.prefix}/a" in left:
                cloud.client()[0].backend.move("a", "trash/b")
            assert cloud.names() == [f"{cloud.prefix}/trash/b"]


@pytest.mark.parametrize("fault", ["killed before", "killed after", "gone", "EIO"])
def test_a_compaction_stopped_at_any_request_loses_no_row(make_cloud, pauses, fault):
    def merge(cloud: Cloud, plan: Plan) -> tuple[bool, int]:
        store, files = cloud.client(plan)
        try:
            compact(store, apply=True)
        except (Killed, StoreError):
            return False, len(files.calls)
        return True, len(files.calls)

    whole = make_cloud()
    whole.work(whole.client()[0])
    count = merge(whole, lambda _: None)[1]
    assert count > 10
    ended = []
    for number in range(1, count + 1):
        cloud = make_cloud()
        cloud.work(cloud.client()[0])
        error = Killed() if "killed" in fault else OSError(errno.EIO, "Input/output error")
        plan = after(number, error) if fault == "gone" else at(number, error, acted=fault == "killed after")
        ended.append(merge(cloud, plan)[0])
        assert cloud.kept() == 20
        merge(cloud, lambda _: None)
        assert cloud.kept() == 20
        # The next run completes, unless the merged segment was there already and only its inputs were left.
        assert len(cloud.log(cloud.client()[0]).segments()) <= 2
    assert all(ended) == (fault == "EIO")
    assert bool(pauses) == (fault in ("gone", "EIO"))


def record_unanswered(call: Call) -> Fault | None:
    return Fault(OSError(errno.EIO, "no answer")) if call.path.endswith("encoder.json") else None


@pytest.mark.parametrize("look", [list_encoders, stats, conflicts, compact], ids=lambda look: look.__name__)
def test_a_storage_that_does_not_answer_is_no_store_without_encoders(cloud, pauses, look):
    cloud.work(cloud.client()[0])
    with pytest.raises(StoreUnreachable):
        look(cloud.client(record_unanswered)[0])
    assert pauses


def test_a_storage_that_does_not_answer_is_no_damaged_store(cloud, pauses):
    cloud.work(cloud.client()[0])
    with pytest.raises(StoreUnreachable, match="no answer"):
        verify(cloud.client(record_unanswered)[0])
    assert pauses
    assert cloud.kept() == 20
