"""What a run asks of a log grows with the log, and not with the log times the commits or the portions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.embed.compute import Job
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.embed.portions import order_of
from stages.embed.request import Elsewhere, make_request
from stages.embed.settings import EmbedSettings, StorePlace
from stages.embed.worker import embed_portion
from stages.models.encoders.inputs import Inputs
from store import EncoderLog, FeatureStore, LocalBackend, key_array, text_key, verify
from store.backends.protocol import Entry
from store.features.segment_files import SegmentFiles
from store.items.manifest import Manifest
from tests.stages.embed.album import Album
from tests.stages.embed.counting import Counting, vector_of

CAPTIONS = [f"caption {number}" for number in range(120)]


SECONDS_A_NAME = 0.01


@dataclass
class Clock:
    """The time as a test has it."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("stages.embed.request.time", made)
    return made


@dataclass
class Listing(LocalBackend):
    """A folder that counts the names it lists, and takes its time for each."""

    folder: Path
    clock: Clock
    listed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__init__(self.folder, "none")

    def files(self, folder: str) -> list[Entry]:
        found = super().files(folder)
        self.listed += len(found)
        self.clock.now += SECONDS_A_NAME * len(found)
        return found


def log_in(place: Path | LocalBackend) -> EncoderLog:
    encoder, fingerprint = encoder_and_fingerprint(EmbedParams(encoder="counting", field="caption"))
    return FeatureStore(place, durability="none").open(fingerprint, encoder.dim, "float16")


def append(log: EncoderLog, texts: list[str]) -> str:
    vectors = np.stack([vector_of(each) for each in texts]).astype(np.float16)
    return log.append(key_array([text_key(each) for each in texts]), vectors, {})


def test_looks_take_a_small_share_of_the_time_however_long_a_listing_takes(tmp_path: Path, clock: Clock) -> None:
    backend = Listing(tmp_path, clock)
    log = log_in(backend)
    watch = Elsewhere(log, key_array([text_key(each) for each in CAPTIONS]))
    for text in CAPTIONS:
        watch.look()
        watch.own(append(log, [text]))
        clock.now += 1
    assert 0 < backend.listed * SECONDS_A_NAME <= clock.now / 20  # every time all of them would be 7,140 names
    assert clock.now < 127


def test_what_others_publish_is_told_once_and_at_the_latest_after_the_rest(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = log_in(Listing(tmp_path, clock)), log_in(tmp_path)
    for text in CAPTIONS[:43]:
        append(theirs, [text])
    watch = Elsewhere(ours, key_array([text_key(each) for each in CAPTIONS]))
    for number in range(43, 60):
        append(theirs, [CAPTIONS[number]])
        assert len(watch.look()) == 0
        clock.now += 20 * (number + 1) * SECONDS_A_NAME
        assert watch.look().tolist() == [number]


def test_looks_at_few_segments_are_all_taken(tmp_path: Path) -> None:
    ours, theirs = log_in(tmp_path), log_in(tmp_path)
    watch = Elsewhere(ours, key_array([text_key(each) for each in CAPTIONS]))
    for number, text in enumerate(CAPTIONS[:20]):
        append(theirs, [text])
        assert watch.look().tolist() == [number]


@pytest.fixture
def job(album: Album, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A run over the captions whose workers are this process."""
    monkeypatch.chdir(album.root)
    album.write([*CAPTIONS, CAPTIONS[0], None])
    params = EmbedParams(encoder="counting", field="caption")
    encoder, fingerprint = encoder_and_fingerprint(params)
    place = StorePlace(str(album.store))
    settings = EmbedSettings(place.open(), place=place, commit_seconds=0)
    log = settings.store.open(fingerprint, encoder.dim, stored_type(params, encoder))
    inputs = Inputs.of(Manifest.open(album.manifest), "text", "caption")
    return Job(params, inputs, make_request(inputs, with_empty=False), encoder, log, settings, SilentProgress())


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the segments that were read, in their order."""
    names: list[str] = []
    reading = SegmentFiles.read
    monkeypatch.setattr(SegmentFiles, "read", lambda self, name: names.append(name) or reading(self, name))
    return names


def test_a_worker_reads_no_segment_again_for_its_next_portion(
    job: Job, album: Album, counting: Counting, read: list[str]
) -> None:
    append(job.log, CAPTIONS[50:53])
    order = order_of(job)
    reports = []
    for start in range(0, 120, 8):
        if start == 80:
            append(log_in(album.store), CAPTIONS[100:110])
        reports.append(embed_portion({"order": order, "rows": list(range(start, start + 8))}))
    assert len(read) == len(set(read)) == 2  # that of before, and that of somebody else
    assert [len(each["found"]) for each in reports] == [0] * 6 + [3] + [0] * 5 + [4, 6, 0]
    assert len(counting.encoded) == len(set(counting.encoded)) == 107
    again = embed_portion({"order": order, "rows": [3, -1, 101]})
    assert (again["found"], counting.encoded[107:], len(read)) == ([0, 2], [""], 2)
    assert verify(FeatureStore(album.store), rows=True) == []


def test_a_worker_counts_failures_at_their_rows(job: Job, counting: Counting) -> None:
    append(job.log, [CAPTIONS[10]])

    def spoil(batch, vectors):
        vectors[[each == CAPTIONS[12] for each in batch]] = np.nan
        return vectors

    counting.spoil = spoil
    report = embed_portion({"order": order_of(job), "rows": [10, 11, 12, 13]})
    assert (report["found"], list(report["failures"])) == ([0], ["2"])
    counting.spoil = lambda _, vectors: vectors
    report = embed_portion({"order": order_of(job), "rows": [10, 11, 12, 13]})
    assert (report["found"], report["failures"]) == ([0, 1, 3], {})
