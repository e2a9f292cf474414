"""A whole run on files: what is computed, what is found again, and the matrix that comes out."""

from __future__ import annotations

import platform
import socket
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore, Fingerprint
from store.errors import InputError
from tests.stages.embed.album import picture
from tests.stages.embed.counting import vector_of

CAPTIONS = [f"caption {number}" for number in range(40)]


def counts(result) -> tuple[int, int, int]:
    return result.cached, result.new, result.failed


def test_from_empty_to_a_matrix(album):
    album.write(CAPTIONS)
    result = album.embed()
    assert counts(result) == (0, 41, 0)  # the empty text too
    assert result.rate > 0
    assert list(result.seconds) == ["load", "read", "decode", "infer", "write"]
    assert result.runtime == "numpy float32 on cpu"
    assert result.bottleneck in {"read", "decode", "infer", "write"}
    matrix = album.matrix()
    assert matrix.ids == [f"i{row}" for row in range(40)]
    assert matrix.usable.all()
    expected = np.stack([vector_of(each) for each in CAPTIONS]).astype(np.float16)
    np.testing.assert_array_equal(album.rows(), expected)
    np.testing.assert_array_equal(matrix.missing_vector, vector_of("").astype(np.float16))
    assert album.failed() == []
    assert album.temporaries() == []


def test_the_card_describes_the_matrix(album):
    album.write(["a", None, "b"])
    album.embed()
    matrix, card = album.matrix(), album.card()
    assert card["digest"] == matrix.digest
    assert (card["rows"], card["present"], card["ok"], card["failed"]) == (3, 2, 2, 0)
    assert (card["encoder"], card["field"], card["dim"], card["dtype"]) == ("counting", "caption", 8, "float16")
    for name in ("fingerprint", "content", "missing", "encoder", "field"):
        assert matrix.attributes[name] == card[name]
    (log,) = FeatureStore(album.store).logs()
    assert matrix.attributes["record"] == log.fingerprint.record
    assert Fingerprint.of("counting", matrix.attributes["record"]).digest == card["fingerprint"]


def test_a_second_run_computes_nothing_and_never_loads_the_model(album, counting):
    album.write(CAPTIONS)
    album.embed()
    before = album.outputs.matrix.read_bytes()
    counting.encoded.clear()
    result = album.embed("again.zarr.zip")
    assert counts(result) == (41, 0, 0)
    assert (result.rate, result.runtime, result.bottleneck) == (0, "", "")
    assert (counting.loads, counting.encoded) == (1, [])
    assert (album.root / "out" / "again.zarr.zip").read_bytes() == before


def test_a_second_run_of_the_hash_double_computes_nothing(album):
    album.write(["a", "!", None, "dog", ""])
    assert counts(album.embed(encoder="hash")) == (0, 4, 0)
    assert counts(album.embed(encoder="hash")) == (4, 0, 0)


def test_equal_contents_are_encoded_once(album, counting):
    album.write(["same", "other", "same", "same"])
    assert counts(album.embed()) == (0, 3, 0)
    assert sorted(counting.encoded) == ["", "other", "same"]
    rows = album.rows()
    np.testing.assert_array_equal(rows[[0, 2, 3]], np.stack([vector_of("same").astype(np.float16)] * 3))


def test_a_set_that_grew_by_one_percent_costs_one_percent(album, counting):
    album.write([f"caption {number}" for number in range(200)])
    album.embed()
    counting.encoded.clear()
    album.write([f"caption {number}" for number in range(202)])
    assert counts(album.embed()) == (201, 2, 0)
    assert counting.encoded == ["caption 200", "caption 201"]


def test_rows_shuffled_and_removed_give_an_aligned_matrix_at_no_cost(album):
    album.write(CAPTIONS)
    album.embed()
    order = np.random.default_rng(0).permutation(40)[:30].tolist()
    album.write([CAPTIONS[row] for row in order], [f"i{row}" for row in order])
    assert counts(album.embed()) == (31, 0, 0)
    assert album.matrix().ids == [f"i{row}" for row in order]
    expected = np.stack([vector_of(CAPTIONS[row]) for row in order]).astype(np.float16)
    np.testing.assert_array_equal(album.rows(), expected)


def test_another_data_set_shares_the_store(album):
    album.write(["a", "b"])
    album.embed()
    album.write(["x", "b", "a"], ["renamed", "1", "2"])
    assert counts(album.embed()) == (3, 1, 0)


def test_in_two_halves_or_at_once_the_file_is_the_same(album):
    album.write(CAPTIONS[:20])
    album.embed(settings={"commit_seconds": 0})
    album.write(CAPTIONS)
    album.embed("halves.zarr.zip", {"commit_seconds": 0, "workers": 4})
    card = album.outputs.card.read_bytes()
    album.embed("whole.zarr.zip", {"store": FeatureStore(album.root / "other"), "workers": 1})
    assert album.outputs.card.read_bytes() == card
    assert (album.root / "out/halves.zarr.zip").read_bytes() == (album.root / "out/whole.zarr.zip").read_bytes()
    assert album.matrix("halves.zarr.zip").digest == album.matrix("whole.zarr.zip").digest


@pytest.mark.parametrize("format_", ["zarr.zip", "h5"])
def test_either_format_of_segments_and_matrix_has_the_same_digest(album, format_):
    album.write([*CAPTIONS, None])
    album.embed()
    store = FeatureStore(album.root / "other", segment_format=format_, durability="none")
    album.embed(f"other.{format_}", {"store": store})
    assert album.matrix(f"other.{format_}").digest == album.matrix().digest
    np.testing.assert_array_equal(album.rows(f"other.{format_}"), album.rows())


def test_a_missing_text_gets_the_vector_of_the_empty_one(album):
    album.write(["a", None, "b"])
    album.embed()
    matrix = album.matrix()
    assert matrix.present.tolist() == matrix.ok.tolist() == [True, False, True]
    np.testing.assert_array_equal(album.rows()[1], vector_of("").astype(np.float16))


def test_a_missing_text_gets_zeros_where_asked(album, counting):
    album.write(["a", None, "b"])
    assert counts(album.embed(missing="zero")) == (0, 2, 0)
    assert "" not in counting.encoded
    assert album.matrix().present.tolist() == [True, False, True]
    assert not album.rows()[1].any()
    assert not album.matrix().missing_vector.any()


def test_pictures_by_their_bytes(album, seeing):
    album.write_pictures([1, None, 2, 1])
    assert counts(album.embed(encoder="seeing", field="image")) == (0, 2, 0)
    assert sorted(seeing.encoded) == sorted([picture(1), picture(2)])
    assert album.matrix().present.tolist() == [True, False, True, True]
    expected = np.stack([vector_of(picture(1)), np.zeros(8), vector_of(picture(2)), vector_of(picture(1))])
    np.testing.assert_array_equal(album.rows(), expected.astype(np.float16))


def test_real_pictures_through_colorhist(album):
    album.write_pictures([1, 2, 3])
    assert counts(album.embed(encoder="colorhist", field="image", dtype="float32")) == (0, 3, 0)
    np.testing.assert_allclose(album.rows().sum(axis=1), 1, atol=1e-6)


def test_a_changed_dtype_is_computed_and_kept_apart(album):
    album.write(["a"])
    album.embed()
    assert counts(album.embed(dtype="float32")) == (0, 2, 0)
    assert album.rows().dtype == np.float32
    assert counts(album.embed()) == (2, 0, 0)


@pytest.mark.parametrize("captions", [[], [None, None, None], ["one"]], ids=["no items", "no texts", "one item"])
@pytest.mark.parametrize("missing", ["encode_empty", "zero"])
def test_the_smallest_data_sets(album, counting, captions, missing):
    album.write(captions)
    wanted = len([each for each in captions if each]) + (missing == "encode_empty")
    assert counts(album.embed(missing=missing)) == (0, wanted, 0)
    assert counting.loads == int(wanted > 0)
    assert len(album.matrix()) == len(captions)
    assert album.matrix().usable.tolist() == [each is not None for each in captions]
    assert counts(album.embed(missing=missing)) == (wanted, 0, 0)


def test_commits_by_seconds_and_by_bytes(album):
    album.write(CAPTIONS)
    album.embed(settings={"commit_seconds": 0})
    assert len(album.segments()) == 11  # every batch of four
    other = FeatureStore(album.root / "other", durability="none")
    album.embed(settings={"store": other, "commit_seconds": 1000, "commit_bytes": 8 * 8 * 2})
    assert len(list(Path(other.address).glob("v1/*/segments/*"))) == 6  # every second batch


def test_device_workers_and_cadence_change_no_byte(album):
    album.write(CAPTIONS)
    album.embed("one.h5", {"device": "cpu", "workers": 1})
    other = FeatureStore(album.root / "other", durability="none")
    album.embed("two.h5", {"store": other, "device": "auto", "workers": 8, "commit_seconds": 0})
    assert (album.root / "out/one.h5").read_bytes() == (album.root / "out/two.h5").read_bytes()


def test_where_rows_came_from_is_told_by_their_segment(album):
    album.write(["a"])
    album.embed()
    (segment,) = album.segments()
    (log,) = FeatureStore(album.store).logs()
    assert log.files.read(segment.name).provenance == {
        "compute_dtype": "float32",
        "device": "cpu",
        "device_name": platform.machine(),
        "diptych": version("diptych"),
        "engine": "numpy",
        "engine_version": np.__version__,
        "host": socket.gethostname(),
    }


def test_equal_runs_on_one_machine_give_equal_segments(album):
    album.write(CAPTIONS)
    settings = {"commit_seconds": 1000}
    album.embed(settings=settings)
    other = FeatureStore(album.root / "other", durability="none")
    album.embed(settings={**settings, "store": other})
    assert [path.name for path in album.segments()] == [path.name for path in (album.root / "other").rglob("zarr*")]


def test_an_unknown_field_or_missing_manifest_is_refused_before_anything(album, counting):
    with pytest.raises(InputError, match="found no file; run `diptych prepare`"):
        album.embed()
    album.write(["a"])
    with pytest.raises(InputError, match="found 'title'"):
        album.embed(field="title")
    assert counting.loads == 0
    assert not album.store.exists()
    assert not album.outputs.matrix.parent.exists()
