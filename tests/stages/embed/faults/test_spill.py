"""A store that fails in the middle of a run: cases 39 and 40 of reliability.md. No finished row is lost."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from store import (
    FeatureStore,
    LocalBackend,
    StoreFull,
    StoreNotReadable,
    StoreNotWritable,
    StoreUnreachable,
    import_store,
    stats,
    verify,
)
from store.errors import RunError

CAPTIONS = [f"caption {number}" for number in range(40)]
WANTED = 41  # the empty text too
ERRORS = [
    StoreFull("no room left at s3://team"),
    StoreNotWritable("credentials have expired"),
    StoreUnreachable("no answer from s3://team"),
    OSError(errno.EIO, "Input/output error"),
]


class Failing(LocalBackend):
    """A folder that takes `good` segments and then refuses: every process here may run as root, whom no mode stops."""

    def __init__(self, root: Path, good: int, error: OSError) -> None:
        super().__init__(root, "none")
        self.good, self.error, self.refused = good, error, 0

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
        if "/segments/" in path:
            self.good -= 1
            if self.good < 0:
                self.refused += 1
                raise self.error
        super().publish(path, data, heal=heal)


@pytest.fixture
def spill(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "a spill", durability="none")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_case_39_finished_rows_are_spilled_and_imported(album, counting, spill, error):
    album.write(CAPTIONS)
    backend = Failing(album.store, 3, error)
    with pytest.raises(RunError, match=r"expected to store 4 finished rows in .*; mend the store") as caught:
        album.embed(settings={"store": FeatureStore(backend), "commit_seconds": 0, "spill": spill})
    assert caught.value.exit_code == 1
    assert str(error) in str(caught.value)
    assert f"`diptych store import '{spill.address}'`" in str(caught.value)
    assert backend.refused == 1  # no second attempt on the way out
    assert (stats(FeatureStore(album.store)).rows, stats(spill).rows) == (12, 4)
    assert verify(spill, rows=True) == []
    assert not album.outputs.matrix.exists()
    assert album.temporaries() == []
    assert import_store(spill.address, FeatureStore(album.store, durability="none")).rows == 4
    counting.encoded.clear()
    result = album.embed()
    assert (result.cached, result.new, result.failed) == (16, WANTED - 16, 0)
    assert len(counting.encoded) == WANTED - 16


def test_after_the_import_nothing_is_computed(album, counting, spill):
    album.write(CAPTIONS)
    backend = Failing(album.store, 0, ERRORS[0])
    with pytest.raises(RunError, match=f"expected to store {WANTED} finished rows"):
        album.embed(settings={"store": FeatureStore(backend), "commit_seconds": 1000, "spill": spill})
    import_store(spill.address, FeatureStore(album.store, durability="none"))
    counting.encoded.clear()
    result = album.embed()
    assert (result.cached, result.new) == (WANTED, 0)
    assert (counting.encoded, counting.loads) == ([], 1)


def test_a_store_that_cannot_be_listed_any_more_spills_too(album, spill):
    class Silent(LocalBackend):
        batches = 0

        def files(self, folder: str) -> list:
            self.batches += 1
            if self.batches > 5:
                raise StoreNotReadable("credentials have expired")
            return super().files(folder)

    album.write(CAPTIONS)
    with pytest.raises(RunError, match="credentials have expired"):
        album.embed(settings={"store": FeatureStore(Silent(album.store, "none")), "commit_seconds": 0, "spill": spill})
    assert stats(spill).rows == 4


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_spill_that_fails_too_is_told(album, tmp_path, error):
    album.write(CAPTIONS)
    store = FeatureStore(Failing(album.store, 3, error))
    spill = FeatureStore(Failing(tmp_path / "spill", 0, OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(RunError) as caught:
        album.embed(settings={"store": store, "commit_seconds": 0, "spill": spill})
    said = re.escape(str(error)) + r".*Nor could .*spill keep them: .*No space left.*These rows are lost"
    assert re.search(said, str(caught.value))
    assert stats(FeatureStore(album.store)).rows == 12


def test_an_interrupt_while_spilling_does_not_lose_the_rows(album, tmp_path):
    class InterruptedOnce(LocalBackend):
        interrupts = 1

        def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
            if self.interrupts:
                self.interrupts = 0
                raise KeyboardInterrupt
            super().publish(path, data, heal=heal)

    album.write(CAPTIONS)
    store = FeatureStore(Failing(album.store, 3, ERRORS[0]))
    spill = FeatureStore(InterruptedOnce(tmp_path / "spill", "none"))
    with pytest.raises(RunError, match=r"expected to store 4 finished rows .* They are kept in"):
        album.embed(settings={"store": store, "commit_seconds": 0, "spill": spill})
    assert stats(spill).rows == 4


def test_without_a_spill_the_store_s_own_error_is_raised(album):
    album.write(CAPTIONS)
    with pytest.raises(StoreFull, match="no room left"):
        album.embed(settings={"store": FeatureStore(Failing(album.store, 3, ERRORS[0])), "commit_seconds": 0})
    assert stats(FeatureStore(album.store)).rows == 12


def test_case_40_a_key_that_may_only_read_is_found_out_before_the_model_is_loaded(album, counting, spill):
    class ReadOnly(LocalBackend):
        def probe_writable(self, folder: str) -> None:
            raise StoreNotWritable(f"expected the right to write {self.shown(folder)}, found none")

    album.write(CAPTIONS[:20])
    album.embed()
    readable = {"store": FeatureStore(ReadOnly(album.store)), "spill": spill}
    assert album.embed("again.zarr.zip", readable).cached == 21  # lookups and the export need no right to write
    album.write(CAPTIONS)
    with pytest.raises(StoreNotWritable, match="the right to write"):
        album.embed(settings=readable)
    assert counting.loads == 1
    assert not spill.exists()
