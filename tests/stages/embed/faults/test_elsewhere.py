"""No row is computed once somebody else has published it; what is lost behind our back is computed again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.protocol import Placement, Runtime
from store import EncoderLog, FeatureStore, image_key, key_array, text_key, verify
from store.features.segment_files import SegmentFiles
from tests.stages.embed.album import Album, picture
from tests.stages.embed.counting import Counting, vector_of

CAPTIONS = [f"caption {number}" for number in range(40)]
EXPECTED = np.stack([vector_of(each) for each in CAPTIONS]).astype(np.float16)


def publish(album: Album, texts: list[str]) -> Path:
    """Store texts as a team-mate's run would, and give the segment; the log's record is that of the run under test."""
    store = FeatureStore(album.store, durability="none")
    (log,) = store.logs()
    vectors = np.stack([vector_of(each) for each in texts]).astype(np.float16)
    name = log.append(key_array([text_key(each) for each in texts]), vectors, {"host": "another"})
    return album.store / log.folder / "segments" / name


# A batch goes to the model when the one three before it is stored, so with commits at every batch the fourth of four
# items runs when there is something in the store.
def once(act: Callable[[], object], when: Callable[[], bool]) -> Callable:
    """A `spoil` that acts once, after the batch at which `when` holds first."""
    done = []

    def spoil(_, vectors):
        if not done and when():
            done.append(True)
            act()
        return vectors

    return spoil


def counts(result) -> tuple[int, int, int]:
    return result.cached, result.new, result.failed


@pytest.mark.parametrize("cached", [False, True], ids=["no index", "index"])
@pytest.mark.parametrize("workers", [1, 4])
def test_rows_published_meanwhile_are_not_encoded(album, counting, cached, workers):
    album.write(CAPTIONS)
    theirs = CAPTIONS[8:30]
    counting.spoil = once(lambda: publish(album, theirs), lambda: len(counting.encoded) > 12)
    store = FeatureStore(album.store, durability="none", cache=album.root / "cache" if cached else None)
    result = album.embed(settings={"store": store, "commit_seconds": 0, "workers": workers})
    # Those encoded before they were published, and in the two batches that the model had been given by then.
    twice = set(theirs) & set(counting.encoded[:24])
    assert set(theirs) & set(counting.encoded[24:]) == set()
    assert counts(result) == (22 - len(twice), 19 + len(twice), 0)
    assert len(counting.encoded) == len(set(counting.encoded)) == result.new
    np.testing.assert_array_equal(album.rows(), EXPECTED)
    assert verify(store, rows=True) == []


def test_rows_published_while_the_model_was_loaded_are_not_encoded(album, counting, monkeypatch):
    album.write(["first"])
    album.embed()
    load = counting.load

    def slow(placement: Placement) -> Runtime:
        publish(album, CAPTIONS[:39])
        return load(placement)

    monkeypatch.setattr(counting, "load", slow)
    counting.encoded.clear()
    album.write(CAPTIONS)
    assert counts(album.embed(settings={"commit_seconds": 1000})) == (40, 1, 0)
    assert counting.encoded == ["caption 39"]


def test_pending_rows_that_others_have_published_are_not_stored_again(album, counting):
    album.write(["first"])
    album.embed()
    album.write(CAPTIONS)
    counting.spoil = once(lambda: publish(album, CAPTIONS), lambda: "caption 0" in counting.encoded)
    result = album.embed(settings={"commit_seconds": 1000, "commit_bytes": 16 * 8 * 2})
    assert result.cached + result.new == 41
    (log,) = FeatureStore(album.store).logs()
    keys = np.concatenate([log.files.read(name).keys for name in log.segments()])
    assert len(keys) == len(np.unique(keys, axis=0)) == 42
    np.testing.assert_array_equal(album.rows(), EXPECTED)


def test_a_look_lists_and_reads_none_of_our_own_segments(album, counting, monkeypatch):
    listed, read, so_far = [], [], []
    segments, reading = EncoderLog.segments, SegmentFiles.read
    monkeypatch.setattr(EncoderLog, "segments", lambda self: listed.append(1) or segments(self))
    monkeypatch.setattr(SegmentFiles, "read", lambda self, name: read.append(name) or reading(self, name))
    counting.spoil = lambda _, vectors: so_far.append((len(listed), len(read))) or vectors
    album.write(CAPTIONS)
    store = FeatureStore(album.store, durability="none", cache=album.root / "cache")
    album.embed(settings={"store": store, "commit_seconds": 0})
    # One at the lookup, one when the model was loaded, and one with each commit; up to two batches wait for theirs.
    assert all(batch <= lists <= 2 + batch and reads == 0 for batch, (lists, reads) in enumerate(so_far))
    assert len(so_far) == 11


def test_a_damaged_segment_of_others_is_no_reason_to_skip_a_row(album, counting):
    album.write(CAPTIONS)

    def damaged() -> None:
        new = publish(album, CAPTIONS)
        data = bytearray(new.read_bytes())
        data[len(data) // 2] ^= 255
        new.write_bytes(data)

    counting.spoil = once(damaged, lambda: len(counting.encoded) > 12)
    assert counts(album.embed(settings={"commit_seconds": 0})) == (0, 41, 0)
    np.testing.assert_array_equal(album.rows(), EXPECTED)


@pytest.mark.parametrize("lost", [0, 39], ids=["before it is stored", "afterwards"])
def test_a_picture_that_is_lost_here_and_stored_by_another_machine_has_not_failed(album, seeing, lost):
    album.write_pictures(range(40))
    (album.pictures / f"{lost}.png").unlink()

    def theirs() -> None:
        (log,) = FeatureStore(album.store).logs()
        log.append(key_array([image_key(picture(lost))]), vector_of(picture(lost))[None].astype(np.float16), {})

    seeing.spoil = once(theirs, lambda: len(seeing.encoded) > 12)
    result = album.embed(encoder="seeing", field="image", settings={"commit_seconds": 0})
    assert counts(result) == (1, 39, 0)
    assert album.failed() == []
    assert album.matrix().usable.all()


@pytest.mark.parametrize("cached", [False, True], ids=["no index", "index"])
def test_a_byte_flipped_after_the_keys_were_noted_is_computed_again(album, counting, cached):
    album.write(CAPTIONS)
    settings = {"commit_seconds": 0}
    if cached:
        settings["store"] = FeatureStore(album.store, durability="none", cache=album.root / "cache")
    album.embed(settings=settings)
    counting.encoded.clear()
    for damaged in album.segments()[:2]:
        data = bytearray(damaged.read_bytes())
        data[len(data) // 2] ^= 255
        damaged.write_bytes(data)
    if cached:  # a run of its own: nothing is known of the damage, and the index says that all is well
        settings["store"] = FeatureStore(album.store, durability="none", cache=album.root / "cache")
    result = album.embed("again.zarr.zip", settings)
    assert result.failed == 0
    assert result.new == len(counting.encoded) == len(set(counting.encoded))
    assert 5 <= result.new <= 8
    assert result.cached + result.new == 41
    assert counting.loads == 2
    assert album.matrix("again.zarr.zip").digest == album.matrix().digest


def test_a_segment_removed_between_lookup_and_export_is_computed_again(album, counting):
    album.write(CAPTIONS)
    album.embed(settings={"commit_seconds": 0})
    counting.encoded.clear()

    class Removing(FeatureStore):
        def open(self, *arguments):
            log = super().open(*arguments)
            read = log.read

            def removed(locations, rows):
                album.segments()[0].unlink()
                log.read = read
                return read(locations, rows)

            log.read = removed
            return log

    result = album.embed("again.zarr.zip", {"store": Removing(album.store, durability="none")})
    assert result.new == len(counting.encoded) >= 1
    assert album.matrix("again.zarr.zip").digest == album.matrix().digest


def run_both(tmp_path: Path, captions: list[list[str]]) -> list[dict[str, int]]:
    """Embed each list of captions in a process of its own, at once, into one store; give what each run told."""
    script = Path(__file__).with_name("slow_embed.py")
    runs = []
    (tmp_path / "store").mkdir()
    for number, texts in enumerate(captions):
        album = Album(tmp_path / str(number))
        album.root.mkdir()
        album.write(texts)
        album.store.symlink_to(tmp_path / "store")
        # Not quite the same cadence, as of two machines: in the very same step they would write the very same files.
        command = [sys.executable, str(script), str(album.root), "0.05", str(0.1 + 0.07 * number)]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    results = [json.loads(run.communicate(timeout=60)[0].splitlines()[-1]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    return results


def test_two_processes_side_by_side_share_the_work(tmp_path: Path):
    captions = [f"caption {number}" for number in range(200)]
    results = run_both(tmp_path, [captions, captions])
    computed = sum(result["new"] for result in results)
    # In step they would compute 402. Each leaves that step, by lot, when it first sees the other at its place; 212 to
    # 287 were seen.
    assert 201 <= computed < 350
    first, second = (Album(tmp_path / str(number)) for number in range(2))
    assert first.outputs.matrix.read_bytes() == second.outputs.matrix.read_bytes()
    assert verify(FeatureStore(tmp_path / "store"), rows=True) == []


def test_two_processes_from_both_ends_meet_in_the_middle(counting: Counting, tmp_path: Path):
    captions = [f"caption {number}" for number in range(160)]
    results = run_both(tmp_path, [captions, captions[::-1]])
    # A row that is visible is not computed again. So each process computes for nothing at most what it had begun since
    # it last looked, which is what it would have put into one segment, and the batch that was with the model.
    largest = max(int(path.name.split("-")[1]) for path in (tmp_path / "store").glob("v1/*/segments/*"))
    computed = sum(result["new"] for result in results)
    assert 161 <= computed <= 161 + 2 * (largest + 4) < 2 * 161
    assert all(result["cached"] + result["new"] == 161 for result in results)
    assert verify(FeatureStore(tmp_path / "store"), rows=True) == []
    counting.encoded.clear()
    for number in range(2):
        assert counts(Album(tmp_path / str(number)).embed()) == (161, 0, 0)
    assert counting.encoded == []
