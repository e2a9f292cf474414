"""Rows of bytes, and rows of zeros that an encoder calls legal: through every door of the store, in both formats."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from store import (
    EncoderLog,
    FeatureStore,
    Fingerprint,
    InvalidVectors,
    Segment,
    compact,
    conflicts,
    cosines,
    export_store,
    import_store,
    open_matrix,
    repair,
    row_problems,
    verify,
)
from store.items.keys import sortable
from store.items.vectors import finite_rows
from store.segments.segment import build_segment, row_digests
from tests.store.matrices.samples import make, write

DIM = 6
ZERO_LEGAL = Fingerprint.of("words", {"zero_rows": "legal"})


@pytest.fixture
def pixels(store: FeatureStore) -> EncoderLog:
    return store.open(Fingerprint.of("pixels", {"size": 2}), DIM, "uint8")


@pytest.fixture
def words(store: FeatureStore) -> EncoderLog:
    return store.open(ZERO_LEGAL, DIM, "float16")


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Rows of bytes: the first all black, the second all white."""
    rows = np.random.default_rng(seed).integers(0, 256, (n, DIM), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    return rows


def codes(n: int, seed: int = 0) -> np.ndarray:
    """Rows of half-precision numbers: the first all zero, the second too, of the other sign."""
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float16)
    rows[0], rows[1] = 0.0, -0.0
    return rows


def assert_holds(log: EncoderLog, keys: np.ndarray, vectors: np.ndarray) -> None:
    found = log.read(log.locate(keys), slice(None))
    assert (found.dtype, found.tobytes()) == (vectors.dtype, vectors.tobytes())


MAKERS = {"pixels": pictures, "words": codes}


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def filled(kind, store, request, make_keys) -> tuple[EncoderLog, np.ndarray, np.ndarray]:
    """A log of two segments, their keys and their vectors."""
    assert not store.exists()
    log, vectors, keys = request.getfixturevalue(kind), MAKERS[kind](40), make_keys(0, 40)
    log.append(keys[:25], vectors[:25], {})
    log.append(keys[25:], vectors[25:], {})
    return log, keys, vectors


def test_rows_come_back_as_they_were(filled, store):
    log, keys, vectors = filled
    assert_holds(log, keys, vectors)
    assert_holds(store.open(log.fingerprint, DIM, log.dtype), keys[::-1], vectors[::-1])
    assert verify(store, rows=True) == []


def test_compaction_keeps_every_row(filled, store):
    log, keys, vectors = filled
    (merge,) = compact(store, apply=True)
    assert merge.rows == 40
    assert_holds(log, keys, vectors)
    assert verify(store, rows=True) == []


@pytest.mark.parametrize("target", ["folder", "archive.zip"])
def test_they_travel(filled, store, tmp_path, target):
    log, keys, vectors = filled
    assert export_store(store, tmp_path / target, durability="none").problems == ()
    other = FeatureStore(tmp_path / "other", durability="none")
    assert import_store(tmp_path / target, other).problems == ()
    assert_holds(other.open(log.fingerprint, DIM, log.dtype), keys, vectors)


def test_repair_leaves_them_alone(filled, store):
    log, keys, vectors = filled
    assert repair(store, [log.record], apply=True) == []
    assert_holds(log, keys, vectors)


def test_an_older_version_is_told_to_leave_such_an_encoder_alone(filled):
    log, _, _ = filled
    record = json.loads((Path(log.shown) / "encoder.json").read_bytes())
    assert (record["format_version"], record["min_reader"]) == (2, 2)
    assert log.zero_legal == (log.fingerprint.encoder == "words")


def test_the_record_of_any_other_encoder_stays_as_it_was(log, make_rows):
    log.append(*make_rows(0, 3), {})
    record = json.loads((Path(log.shown) / "encoder.json").read_bytes())
    assert (record["format_version"], record["min_reader"], log.zero_legal) == (1, 1, False)


@pytest.mark.parametrize("word", [None, "refused", True, "Legal", ["legal"]])
def test_without_the_word_zeros_are_refused_everywhere(store, make_keys, tmp_path, word):
    log = store.open(Fingerprint.of("words", {} if word is None else {"zero_rows": word}), DIM, "float16")
    with pytest.raises(InvalidVectors, match="not zero, found zero vector in row 0"):
        log.append(make_keys(0, 9), codes(9), {})
    log.append(make_keys(9, 12), codes(12)[9:], {})
    put_unchecked(log, make_keys(0, 9), codes(9))
    (problem,) = verify(store, rows=True)
    assert "not zero, found zero vector" in problem.what
    (left,) = import_store(store.address, FeatureStore(tmp_path / "other", durability="none")).problems
    assert "zero vector" in left.what
    (moved,) = repair(store, apply=True)
    assert "zero vector" in moved.problem
    assert log.locate(make_keys(0, 12)).found.sum() == 3


def put_unchecked(log: EncoderLog, keys: np.ndarray, vectors: np.ndarray) -> None:
    """Put a segment in place that `append` would refuse."""
    order = np.argsort(sortable(keys), kind="stable")
    rows = vectors[order]
    name, data = build_segment("h5", Segment(keys[order], rows, row_digests(rows), {}, log.fingerprint.digest))
    (Path(log.shown) / "segments" / name).write_bytes(data)


def test_a_row_that_is_not_finite_is_refused_whatever_is_legal(words, make_keys, store):
    vectors = codes(9)
    vectors[4, 2] = np.inf
    with pytest.raises(InvalidVectors, match="expected finite vectors, found non-finite in row 4"):
        words.append(make_keys(0, 9), vectors, {})
    words.append(make_keys(9, 12), codes(12)[9:], {})
    put_unchecked(words, make_keys(0, 9), vectors)
    (problem,) = verify(store, rows=True)
    assert "expected finite vectors, found non-finite" in problem.what


def test_bytes_must_be_bytes(pixels, make_keys):
    for wrong in (pictures(9).astype(np.float16), pictures(9).astype(np.int8), pictures(9)[:, ::-1]):
        with pytest.raises(InvalidVectors, match="little-endian uint8"):
            pixels.append(make_keys(0, 9), wrong, {})


def test_a_row_of_a_whole_picture_fits(store, make_keys):
    size = 3 * 224 * 224
    log = store.open(Fingerprint.of("pixels", {"size": 224}), size, "uint8")
    vectors = np.zeros((3, size), np.uint8)
    vectors[1] = np.arange(size) % 251
    log.append(make_keys(0, 3), vectors, {})
    assert_holds(log, make_keys(0, 3), vectors)
    assert verify(store, rows=True) == []


def test_conflicting_bytes_are_compared_as_numbers(pixels, store, make_keys):
    keys, vectors = make_keys(0, 20), pictures(20)
    pixels.append(keys, vectors, {})
    near, far = vectors.copy(), vectors.copy()
    near[1] -= 1  # 254 instead of 255: the same direction, and squares of them overflow a byte
    pixels.append(keys[1:2], near[1:2], {})
    (found,) = conflicts(store)
    assert (found.rows, found.tolerated) == (1, True)
    far[0] = 200  # black is not grey
    pixels.append(keys[:1], far[:1], {})
    (bad,) = [each for each in conflicts(store) if not each.tolerated]
    assert (bad.rows, bad.cosine) == (1, 0)


def test_zeros_of_either_sign_are_no_conflict(words, store, make_keys):
    words.append(make_keys(0, 3), codes(3), {})
    other = codes(3)
    other[0] = -0.0
    words.append(make_keys(0, 3), other, {})
    (found,) = conflicts(store)
    assert (found.rows, found.tolerated, found.cosine) == (1, True, 1)


def test_row_problems_by_type():
    assert row_problems(pictures(3)).tolist() == ["", "", ""]
    assert row_problems(codes(3)).tolist() == ["zero vector", "zero vector", ""]
    assert row_problems(codes(3), zero_legal=True).tolist() == ["", "", ""]
    bad = codes(3)
    bad[0, 0], bad[1, 1] = np.nan, -np.inf
    assert row_problems(bad, zero_legal=True).tolist() == ["non-finite", "non-finite", ""]


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_cosines_are_those_of_float64(dtype, monkeypatch):
    first, second = pictures(50).astype(dtype), pictures(50, seed=1).astype(dtype)
    first[3] = 0
    expected = [
        1.0 if not a.any() and not b.any() else a @ b / (np.linalg.norm(a) * np.linalg.norm(b) or np.inf)
        for a, b in zip(first.astype(float), second.astype(float), strict=True)
    ]
    whole = cosines(first, second)
    np.testing.assert_allclose(whole, expected, rtol=1e-14)
    assert (whole[0], whole[3]) == (1, 0)
    monkeypatch.setattr("store.items.vectors._PORTION_NUMBERS", 4 * DIM)
    np.testing.assert_array_equal(cosines(first, second), whole)
    assert cosines(first[:0], second[:0]).shape == (0,)


def test_finite_rows_looks_at_whole_rows():
    values = np.zeros((4, 2, 3), np.float16)
    values[1, 1, 2], values[2, 0, 0] = np.nan, -np.inf
    assert finite_rows(values).tolist() == [True, False, False, True]
    assert finite_rows(values.astype(">f4")).tolist() == [True, False, False, True]
    assert finite_rows(values[:0]).tolist() == []
    assert finite_rows(np.zeros((2, 3), bool)).tolist() == [True, True]


@pytest.mark.parametrize(
    ("missing", "sound"),
    [
        (np.zeros(5), True),
        (np.full(5, 255, np.uint8), True),
        (np.full(5, 256), False),
        (np.full(5, -1), False),
        (np.full(5, 0.5), False),
        (np.full(5, np.nan), False),
    ],
)
def test_the_missing_vector_of_bytes_must_be_bytes(matrix_path, missing, sound):
    header, block, _ = make(dtype="uint8", arrays=())
    header = dataclasses.replace(header, missing_vector=missing)
    if sound:
        write(matrix_path, header, [block])
        np.testing.assert_array_equal(open_matrix(matrix_path).missing_vector, missing)
    else:
        with pytest.raises(InvalidVectors, match="missing vector of 5"):
            write(matrix_path, header, [block])


def test_black_pictures_come_back(matrix_path):
    header, block, _ = make(dtype="uint8", arrays=())
    block.vectors[:] = 0
    write(matrix_path, dataclasses.replace(header, missing_vector=np.zeros(5)), [block])
    matrix = open_matrix(matrix_path)
    assert (matrix.dtype, matrix.attributes["min_reader"]) == ("uint8", 2)
    assert not matrix[:].any()


@pytest.mark.parametrize(("dtype", "rows"), [("uint8", 4), ("float16", 50)])
def test_wide_rows_of_bytes_come_in_small_chunks_and_those_of_floats_as_before(tmp_path, monkeypatch, dtype, rows):
    monkeypatch.setattr("store.matrices.writing.GROUP_BYTES", 4 * 5)
    header, block, expected = make(dtype=dtype, arrays=())
    write(tmp_path / "m.zarr.zip", header, [block])
    matrix = open_matrix(tmp_path / "m.zarr.zip")
    assert matrix._vectors.chunks.shape[1] == rows
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
