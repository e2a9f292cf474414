"""Contents that cannot be embedded are tried once, and again when that is asked for or might help."""

from __future__ import annotations

import json
import logging
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.embed.failures import REFUSED, KnownFailures
from stages.embed.params import EmbedParams, encoder_and_fingerprint
from store import FeatureStore
from store.errors import RunError
from tests.stages.embed.album import Album, picture

CUT = picture(1, 40)[:-300]


def counts(result: Any) -> tuple[int, int, int, int]:
    return result.cached, result.new, result.failed, result.known


def look(album: Album, *, retry: bool = False, **params: Any) -> tuple[int, int, int, int]:
    """Embed the pictures with a memory in `failed`."""
    settings = {"failed": album.root / "failed", "retry_failed": retry}
    return counts(album.embed(settings=settings, **{"encoder": "colorhist", "field": "image", **params}))


def read(album: Album, *, retry: bool = False, **params: Any) -> tuple[int, int, int, int]:
    """Embed the captions with a memory in `failed`."""
    return look(album, retry=retry, **{"encoder": "counting", "field": "caption", "max_failed_share": 1, **params})


def memory(album: Album) -> Path:
    (path,) = (album.root / "failed").iterdir()
    return path


def outputs(album: Album) -> list[bytes]:
    return [path.read_bytes() for path in (album.outputs.matrix, album.outputs.card, album.outputs.failed)]


def test_a_picture_that_cannot_be_decoded_is_tried_once(album):
    album.write_files([picture(0), CUT, b"no picture", picture(3), CUT])
    assert look(album, max_failed_share=0.5) == (0, 2, 2, 0)
    tried = outputs(album)
    album.write_files([picture(0), CUT, b"no picture", picture(3), CUT])
    assert look(album, max_failed_share=0.5) == (2, 0, 2, 2)
    assert outputs(album) == tried
    assert [name for name, _ in album.failed()] == ["i1", "i2", "i4"]
    assert look(album, retry=True, max_failed_share=0.5) == (2, 0, 2, 0)
    assert outputs(album) == tried


def test_known_failures_neither_load_the_model_nor_count_as_work(album, counting):
    counting.spoil = lambda batch, vectors: np.where([[each == "bad"] for each in batch], np.nan, vectors)
    album.write(["good", "bad"])
    assert read(album) == (0, 2, 1, 0)
    counting.encoded.clear()
    assert read(album) == (2, 0, 1, 1)
    assert (counting.loads, counting.encoded) == (1, [])
    album.write(["good", "bad", "new"])
    assert read(album) == (2, 1, 1, 1)
    assert counting.encoded == ["new"]
    assert album.failed() == [["i1", "the encoder gave a non-finite row in float16"]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 70_000, 0])
def test_what_the_gate_refused_is_tried_again_when_asked_and_then_forgotten(album, counting, value):
    counting.spoil = lambda _, vectors: vectors * 0 + value
    album.write(["a", "b"])
    assert read(album, missing="zero") == (0, 0, 2, 0)
    counting.spoil = lambda _, vectors: vectors
    assert read(album, missing="zero") == (0, 0, 2, 2)
    assert read(album, missing="zero", retry=True) == (0, 2, 0, 0)
    assert json.loads(memory(album).read_text())["failed"] == {}
    assert album.failed() == []


def test_what_another_engine_refused_is_tried_again(album, counting):
    counting.spoil = lambda _, vectors: vectors * np.nan
    album.write(["a", "b"])
    assert read(album, missing="zero") == (0, 0, 2, 0)
    content = json.loads(memory(album).read_text())
    assert content.pop("last_tried_by") == "torch"
    memory(album).write_text(json.dumps(content))  # as written before rows were tried by torch too
    counting.spoil = lambda _, vectors: vectors
    assert read(album, missing="zero") == (0, 2, 0, 0)


def test_what_does_not_lie_in_the_content_is_tried_every_time(album):
    album.write_pictures(range(4))
    (album.pictures / "0.png").unlink()
    (album.pictures / "1.png").write_bytes(picture(99))
    (album.pictures / "2.png").unlink()
    os.mkfifo(album.pictures / "2.png")
    assert look(album, max_failed_share=1) == (0, 1, 3, 0)
    (album.pictures / "2.png").unlink()
    for number in range(3):
        (album.pictures / f"{number}.png").write_bytes(picture(number))
    assert look(album) == (1, 3, 0, 0)
    assert not (album.root / "failed").exists()


def test_a_known_failure_whose_file_is_lost_meanwhile_stays_known(album):
    album.write_files([picture(0), CUT])
    assert look(album, max_failed_share=0.5) == (0, 1, 1, 0)
    (album.pictures / "1.png").unlink()
    assert look(album, retry=True, max_failed_share=0.5) == (1, 0, 1, 0)
    assert "No such file" in album.failed()[0][1]
    assert look(album, max_failed_share=0.5) == (1, 0, 1, 1)
    assert "UndecodableImage" in album.failed()[0][1]


def test_another_fingerprint_tries_again(album, counting):
    counting.spoil = lambda _, vectors: vectors * 70_000
    album.write(["a"])
    assert read(album, missing="zero") == (0, 0, 1, 0)
    assert read(album, missing="zero", dtype="float32") == (0, 1, 0, 0)
    assert read(album, missing="zero") == (0, 0, 1, 1)


def test_failures_of_another_data_set_stay_known(album):
    album.write_files([picture(0), CUT])
    assert look(album, max_failed_share=0.5) == (0, 1, 1, 0)
    album.write_files([picture(0), b"no picture"])
    assert look(album, max_failed_share=0.5) == (1, 0, 1, 0)
    album.write_files([picture(0), CUT])
    assert look(album, max_failed_share=0.5) == (1, 0, 1, 1)


def test_a_vector_in_the_store_counts_more_than_a_failure(album, counting):
    counting.spoil = lambda _, vectors: vectors * 0
    album.write(["a"])
    assert read(album, missing="zero") == (0, 0, 1, 0)
    counting.spoil = lambda _, vectors: vectors
    album.embed(missing="zero")  # as another machine would
    assert read(album, missing="zero") == (1, 0, 0, 0)


def test_a_run_that_fails_remembers_what_it_found(album, counting):
    album.write_files([picture(0), CUT])
    with pytest.raises(RunError, match="found 1 of 2"):
        look(album)
    with pytest.raises(RunError, match="found 1 of 2"):
        look(album)
    assert look(album, max_failed_share=0.5) == (1, 0, 1, 1)

    def stop(_, vectors):
        if len(counting.encoded) > 12:
            raise KeyboardInterrupt
        return vectors * 0

    counting.spoil = stop
    album.write([f"caption {number}" for number in range(40)])
    with pytest.raises(KeyboardInterrupt):
        read(album)
    counting.spoil = lambda _, vectors: vectors
    assert read(album, missing="zero") == (0, 28, 12, 12)


DAMAGED = ["", "{", "[]", "null", '{"failed": {}}', "\xff\xfe", "[" * 100_000, "not this encoder", "not our entries"]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: content[:9])
def test_a_damaged_or_foreign_list_is_told_and_written_anew(album, caplog, content):
    album.write_files([picture(0), CUT])
    look(album, max_failed_share=0.5)
    path = memory(album)
    good = path.read_bytes()
    fields = json.loads(good)
    if content == "not this encoder":
        content = json.dumps({**fields, "fingerprint": "0" * 64})
    elif content == "not our entries":
        content = json.dumps({**fields, "failed": {"../../x": "ItemError: lost"}})
    path.write_bytes(content.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert look(album, max_failed_share=0.5) == (1, 0, 1, 0)
    (record,) = caplog.records
    assert "no list of known failures" in record.message
    assert path.read_bytes() == good


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "nowhere"])
def test_a_place_that_keeps_no_list_costs_time_only(album, caplog, kind):
    album.write_files([picture(0), CUT])
    look(album, max_failed_share=0.5)
    path = memory(album)
    target = path.rename(album.root / "elsewhere.json")
    before = target.read_bytes()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(target)
    else:
        (album.root / "failed").rmdir()
        (album.root / "failed").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert look(album, max_failed_share=0.5) == (1, 0, 1, 0)
    assert caplog.records
    assert target.read_bytes() == before
    assert album.matrix().ok.tolist() == [True, False]


def test_another_pillow_tries_again_without_a_word(album, caplog):
    album.write_files([picture(0), CUT])
    look(album, max_failed_share=0.5)
    path = memory(album)
    path.write_text(path.read_text().replace('"pillow": "', '"pillow": "0.'))
    with caplog.at_level(logging.WARNING):
        assert look(album, max_failed_share=0.5) == (1, 0, 1, 0)
    assert not caplog.records
    assert look(album, max_failed_share=0.5) == (1, 0, 1, 1)


def test_the_list_is_bounded(album, monkeypatch):
    monkeypatch.setattr("stages.embed.failures._MOST", 3)
    album.write_files([b"no picture %d" % number for number in range(5)])
    with pytest.raises(RunError):
        look(album)
    assert len(json.loads(memory(album).read_text())["failed"]) == 3
    assert memory(album).name.startswith("colorhist-")
    assert album.temporaries() == []


def test_without_a_folder_nothing_is_remembered(album):
    album.write_files([picture(0), CUT])
    for _ in range(2):
        result = album.embed(encoder="colorhist", field="image", max_failed_share=0.5)
        assert counts(result)[2:] == (1, 0)
    assert FeatureStore(album.store).exists()
    assert not (album.root / "failed").exists()


def test_one_known_failure_costs_little_memory_among_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.embed.failures._MOST_BYTES", 1 << 16)  # read at once
    keys = np.random.default_rng(0).integers(0, 256, (300_000, 32), dtype=np.uint8)
    keys[7, :8] = keys[9, :8]  # alike at their begin
    failures = {9: f"{REFUSED}zero row", 11: f"{REFUSED}bad row"}
    computed = np.ones(len(keys), dtype=bool)
    _, fingerprint = encoder_and_fingerprint(EmbedParams(encoder="counting", field="caption"))
    known = KnownFailures(tmp_path, fingerprint)
    with known.updated(keys, computed, failures):
        pass
    tracemalloc.start()
    try:
        assert known.recall(keys, computed) == failures
        del failures[11]
        with known.updated(keys, computed, failures):
            pass
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # with a str for each row, 50 MB
    finally:
        tracemalloc.stop()
    assert known.recall(keys, computed) == failures
    assert known.recall(keys, ~computed) == {}
