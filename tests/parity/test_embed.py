"""`embed` by two real worker processes gives what it gives here: vectors, matrix, card, list of failures and counts."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.machine.executors import DaskExecutor
from store import StoreError, cosines, open_matrix
from store.errors import InputError
from tests.parity.runs import Overheard, embed_by, keys_stored, outputs_of
from tests.stages.embed.album import Album, picture

CAPTIONS = [None if number % 50 == 3 else f"caption {number % 1400}" for number in range(1500)]
DISTINCT = 1400 - 28 + 1  # without the missing ones, with the empty text


def same_outputs(album: Album) -> None:
    apart, here = outputs_of(album), album.outputs
    assert open_matrix(apart.matrix).digest == open_matrix(here.matrix).digest
    assert apart.matrix.read_bytes() == here.matrix.read_bytes()
    assert apart.card.read_bytes() == here.card.read_bytes()
    assert apart.failed.read_bytes() == here.failed.read_bytes()


def test_pictures_give_what_they_give_here_and_only_counts_travel(workers: DaskExecutor, album: Album) -> None:
    files: list[bytes | None] = [picture(number % 330) for number in range(360)]
    files[7], files[300], files[20] = b"no picture", picture(300)[:80], None
    album.write_files(files)
    here = album.embed(encoder="colorhist", field="image")
    overheard = Overheard(workers)
    apart = embed_by(album, overheard, encoder="colorhist", field="image")
    assert (apart.cached, apart.new, apart.failed) == (here.cached, here.new, here.failed)
    assert here.failed == 2
    assert apart.runtime == here.runtime
    same_outputs(album)
    # Plain JSON data, of a few bytes for each content; a vector takes a thousand.
    passed = json.loads(json.dumps([overheard.tasks, overheard.reports]))
    assert passed == [overheard.tasks, overheard.reports]
    rows = sum(len(task["rows"]) for task in overheard.tasks)
    assert rows == here.new + here.failed
    orders = sum(len(json.dumps(task["order"])) for task in overheard.tasks)
    assert len(json.dumps(passed)) - orders < 10 * rows + 1000 * len(overheard.tasks)
    assert album.matrix().block(0, 1).nbytes > 100


def test_texts_of_a_second_run_are_all_cached(workers: DaskExecutor, album: Album, batches: Path) -> None:
    album.write(CAPTIONS)
    notes: list[str] = []
    first = embed_by(album, workers, notes=notes)
    assert notes[-1] == "2 workers"
    assert (first.cached, first.new, first.failed) == (0, DISTINCT, 0)
    assert len(batches.read_text().splitlines()) == DISTINCT  # each once
    assert len({line.split()[0] for line in batches.read_text().splitlines()}) == 2  # by both
    again = embed_by(album, workers)
    assert (again.cached, again.new, again.failed) == (DISTINCT, 0, 0)
    assert album.embed(encoder="slow", settings={"device": "cpu"}).new == DISTINCT
    same_outputs(album)


def test_a_worker_killed_in_the_middle_costs_its_uncommitted_rows(
    workers: DaskExecutor, album: Album, batches: Path
) -> None:
    album.write([f"text {number}" for number in range(1600)])
    before = _processes(workers)
    killed: list[int] = []

    def kill() -> None:
        busy = [line.split()[0] for line in batches.read_text().splitlines()[-8:]]
        killed.append(int(busy[-1]))
        os.kill(killed[0], signal.SIGKILL)

    result = embed_by(album, workers, hook=kill, commit_seconds=0.1, missing="zero")
    assert killed[0] in before
    assert result.cached + result.new == 1600
    assert result.failed == 0
    stored = Counter(keys_stored(album.root / "apart"))
    assert len(stored) == 1600
    assert set(stored.values()) == {1}  # what the dead one had stored was found, not computed again
    encoded = Counter(line.partition(" ")[2] for line in batches.read_text().splitlines())
    assert len(encoded) == 1600
    assert encoded.total() - 1600 <= 512  # less than its portion: what it had encoded since it last stored any
    album.embed(encoder="slow", missing="zero")
    same_outputs(album)


def _processes(workers: DaskExecutor) -> set[int]:
    return set(workers._client().run(os.getpid).values())


def test_an_interrupt_stores_what_the_workers_have_finished(workers: DaskExecutor, album: Album, batches: Path) -> None:
    album.write([f"text {number}" for number in range(1600)])

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_by(album, workers, hook=interrupt, commit_seconds=1000, missing="zero")
    encoded = len(batches.read_text().splitlines())
    stored = len(keys_stored(album.root / "apart"))
    # The batches at work when it came, two or three for each worker, may be lost.
    assert encoded - 6 * 16 <= stored <= encoded < 1600
    assert stored >= 512
    result = embed_by(album, workers, missing="zero")
    assert (result.cached, result.new) == (stored, 1600 - stored)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("manifest_digest", "0" * 64, "expected the manifest .* found another file"),
        ("manifest", "/nowhere/manifest.parquet", "expected the manifest /nowhere/manifest.parquet.* found none"),
        ("project", "/nowhere", "expected the project's folder at /nowhere; found none"),
        ("fingerprint", "0" * 64, "expected the encoder slow with the fingerprint 0000.*the same versions"),
    ],
)
def test_a_worker_that_sees_something_else_is_named(
    workers: DaskExecutor, album: Album, name: str, value: str, said: str
) -> None:
    album.write(["one", "two"])
    overheard = Overheard(workers, altered=lambda task: {**task, "order": {**task["order"], name: value}})
    with pytest.raises(InputError, match=rf"^worker \S+:\d+: {said}"):
        embed_by(album, overheard)
    assert keys_stored(album.root / "apart") == []


def test_a_worker_that_cannot_write_the_store_is_named(workers: DaskExecutor, album: Album) -> None:
    album.write(["one", "two"])

    def elsewhere(task: dict[str, Any]) -> dict[str, Any]:
        return {**task, "order": {**task["order"], "store": {**task["order"]["store"], "root": "/proc/store"}}}

    with pytest.raises(StoreError, match=r"^worker \S+:\d+: .*/proc/store"):
        embed_by(album, Overheard(workers, altered=elsewhere))


def test_a_mistake_of_the_code_ends_the_run_with_its_message(workers: DaskExecutor, album: Album) -> None:
    album.write([f"text {number}" for number in range(300)] + ["mistake"])
    with pytest.raises(TypeError, match="expected a mistake of the code"):
        embed_by(album, workers)
    assert not outputs_of(album).matrix.exists()
    assert keys_stored(album.root / "apart")  # what was good is kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "field"), [("hash", "caption"), ("minilm", "caption"), ("efficientnet-lite0", "image")]
)
def test_every_kind_of_encoder_keeps_the_numeric_contract(
    workers: DaskExecutor, album: Album, encoder: str, field: str
) -> None:
    album.write_pairs([f"a caption of {'many words ' * (number % 7)}" for number in range(40)], list(range(40)))
    album.embed(encoder=encoder, field=field, settings={"device": "cpu"})
    result = embed_by(album, workers, encoder=encoder, field=field)
    assert result.failed == 0
    here, apart = album.matrix(), open_matrix(outputs_of(album).matrix)
    assert cosines(here.block(0, 40), apart.block(0, 40)).min() >= 0.999999
    if encoder == "hash":
        same_outputs(album)
