"""What fails is counted, listed and never stored; what does not fail is unharmed; too much of it ends the run."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stages.embed.run import ROUNDS
from store import (
    CorruptSegment,
    EncoderLog,
    FeatureStore,
    RowsRemoved,
    StoreError,
    StoreNotWritable,
    verify,
)
from store.errors import RunError
from tests.stages.embed.album import picture
from tests.stages.embed.counting import vector_of


def counts(result) -> tuple[int, int, int]:
    return result.cached, result.new, result.failed


def rows_in_store(album) -> int:
    return sum(
        log.files.read(name).keys.shape[0] for log in FeatureStore(album.store).logs() for name in log.segments()
    )


def test_pictures_lost_changed_and_damaged_after_prepare(album):
    album.write_pictures([0, 1, 2, 3, 4, 4, 6, 7])
    (album.pictures / "0.png").unlink()
    (album.pictures / "2.png").write_bytes(picture(99))
    (album.pictures / "3.png").write_bytes(picture(3)[:-20])
    (album.pictures / "4.png").unlink()
    (album.pictures / "6.png").unlink()
    os.mkfifo(album.pictures / "6.png")
    result = album.embed(encoder="colorhist", field="image", max_failed_share=1)
    assert counts(result) == (0, 2, 5)
    reasons = dict(album.failed())
    assert list(reasons) == ["i0", "i2", "i3", "i4", "i5", "i6"]
    assert reasons["i0"] == "ItemError: 0.png: No such file or directory"
    assert "2.png: the file changed since" in reasons["i2"]
    assert "3.png: the file changed since" in reasons["i3"]
    assert reasons["i5"] == reasons["i4"]  # one content, read from the first of its files
    assert "regular file" in reasons["i6"]
    matrix = album.matrix()
    assert matrix.present.all()
    assert matrix.ok.tolist() == [False, True, False, False, False, False, False, True]
    assert not album.rows()[~matrix.ok].any()
    assert (album.card()["failed"], album.card()["ok"]) == (6, 2)
    assert rows_in_store(album) == 2


def test_a_picture_that_was_damaged_from_the_start(album):
    album.write_files([picture(0), picture(1, 40)[:-300]])
    assert counts(album.embed(encoder="colorhist", field="image", max_failed_share=0.5)) == (0, 1, 1)
    ((name, reason),) = album.failed()
    assert name == "i1"
    assert reason.startswith("UndecodableImage: damaged: ")


def test_mended_pictures_are_computed_by_the_next_run(album):
    album.write_pictures(range(5))
    (album.pictures / "3.png").unlink()
    assert counts(album.embed(encoder="seeing", field="image", max_failed_share=1)) == (0, 4, 1)
    (album.pictures / "3.png").write_bytes(picture(3))
    assert counts(album.embed(encoder="seeing", field="image")) == (4, 1, 0)
    assert album.failed() == []
    assert album.matrix().usable.all()


@pytest.mark.parametrize("allowed", [0.2, 0.19])
def test_too_many_failures_end_the_run_after_the_good_rows_were_stored(album, allowed):
    album.write_pictures(range(10))
    for number in (3, 8):
        (album.pictures / f"{number}.png").unlink()
    if allowed == 0.2:
        assert counts(album.embed(encoder="seeing", field="image", max_failed_share=allowed)) == (0, 8, 2)
        return
    with pytest.raises(
        RunError, match=r"at most 19% .* found 2 of 10 \(ItemError: 3.png: .*; ItemError: 8.png: .*max_failed_share"
    ):
        album.embed(encoder="seeing", field="image", max_failed_share=allowed)
    assert [name for name, _ in album.failed()] == ["i3", "i8"]
    assert not album.outputs.matrix.exists()
    assert not album.outputs.card.exists()
    for number in (3, 8):
        (album.pictures / f"{number}.png").write_bytes(picture(number))
    assert counts(album.embed(encoder="seeing", field="image", max_failed_share=allowed)) == (8, 2, 0)


@pytest.mark.parametrize(
    ("value", "dtype", "reason"),
    [
        (np.nan, "float32", "non-finite row in float32"),
        (np.inf, "float32", "non-finite row in float32"),
        (-np.inf, "float16", "non-finite row in float16"),
        (70_000, "float16", "non-finite row in float16"),
        (0, "float32", "zero vector row in float32"),
        (1e-9, "float16", "zero vector row in float16"),
    ],
)
def test_the_gate_keeps_rows_out_that_are_no_vectors(album, counting, value, dtype, reason):
    def spoil(batch, vectors):
        bad = [each == "bad" for each in batch]
        vectors[bad] = value if value in (0, 1e-9) else np.where(np.arange(8) == 3, value, vectors[bad])
        return vectors

    counting.spoil = spoil
    texts = [f"good {number}" for number in range(9)]
    album.write([*texts[:4], "bad", *texts[4:], "bad"])
    assert counts(album.embed(dtype=dtype, max_failed_share=0.1)) == (0, 10, 1)
    assert album.failed() == [["i4", f"the encoder gave a {reason}"], ["i10", f"the encoder gave a {reason}"]]
    matrix = album.matrix()
    assert np.flatnonzero(~matrix.ok).tolist() == [4, 10]
    expected = np.stack([vector_of(text) for text in [*texts[:4], "", *texts[4:], ""]]).astype(dtype)
    np.testing.assert_array_equal(album.rows(), expected)
    assert rows_in_store(album) == 10
    assert verify(FeatureStore(album.store), rows=True) == []


def test_values_that_fit_float32_alone_fail_in_float16_only(album, counting):
    counting.spoil = lambda _, vectors: vectors * 70_000
    album.write(["a"])
    assert counts(album.embed(dtype="float32")) == (0, 2, 0)
    assert np.isfinite(album.rows()).all()
    with pytest.raises(RunError, match="found 2 of 2"):
        album.embed()


def test_an_empty_text_without_a_vector_is_not_replaced_in_silence(album, counting):
    counting.spoil = lambda batch, vectors: vectors * np.array([[each != ""] for each in batch], np.float32)
    album.write(["a", None])
    with pytest.raises(RunError, match=r"expected a vector for the empty text.*zero vector.*set `missing: zero`"):
        album.embed(max_failed_share=1)
    assert not album.outputs.matrix.exists()
    assert counts(album.embed(missing="zero")) == (1, 0, 0)


@pytest.mark.parametrize(
    "spoil",
    [lambda _, vectors: vectors[:, :5], lambda _, vectors: vectors[1:], lambda _, vectors: vectors[0]],
    ids=["width", "number", "shape"],
)
def test_vectors_of_another_shape_end_the_run_and_the_earlier_rows_are_kept(album, counting, spoil):
    counting.spoil = lambda batch, vectors: spoil(batch, vectors) if len(counting.encoded) > 12 else vectors
    album.write([f"caption {number}" for number in range(40)])
    with pytest.raises(RunError, match=r"expected 4 vectors of 8 numbers from encoder 'counting'; found \["):
        album.embed(settings={"commit_seconds": 1000})
    assert rows_in_store(album) == 12
    counting.spoil = lambda _, vectors: vectors
    assert counts(album.embed()) == (12, 29, 0)


@pytest.mark.parametrize("error", [RuntimeError("fault"), KeyError("fault"), KeyboardInterrupt(), SystemExit(143)])
def test_a_fault_or_an_interrupt_commits_what_was_finished(album, counting, error):
    def spoil(_, vectors):
        if len(counting.encoded) > 20:
            raise error
        return vectors

    counting.spoil = spoil
    album.write([f"caption {number}" for number in range(40)])
    with pytest.raises(type(error)):
        album.embed(settings={"commit_seconds": 1000})
    assert rows_in_store(album) == 20
    assert album.temporaries() == []
    assert not album.outputs.matrix.exists()


def test_an_interrupt_while_rows_are_being_written_does_not_lose_them(album, monkeypatch):
    append, interrupts = EncoderLog.append, iter([KeyboardInterrupt()])

    def interrupted(self, *arguments):
        for error in interrupts:
            raise error
        return append(self, *arguments)

    monkeypatch.setattr(EncoderLog, "append", interrupted)
    album.write([f"caption {number}" for number in range(40)])
    with pytest.raises(KeyboardInterrupt):
        album.embed(settings={"commit_seconds": 0})
    assert rows_in_store(album) == 4


def test_rows_that_vanish_from_the_store_meanwhile_are_computed_again(album, counting):
    album.write([f"caption {number}" for number in range(20)])
    album.embed(settings={"commit_seconds": 0})
    gone = album.segments()[:2]

    def remove(_, vectors):
        for segment in gone:
            segment.unlink(missing_ok=True)
        return vectors

    counting.spoil = remove
    album.write([f"caption {number}" for number in range(24)])
    result = album.embed()
    assert result.failed == 0
    assert result.new > 4
    assert result.cached + result.new == 25
    assert counting.loads == 2
    assert album.matrix().usable.all()
    np.testing.assert_array_equal(
        album.rows(), np.stack([vector_of(f"caption {number}") for number in range(24)]).astype(np.float16)
    )


def test_a_store_that_loses_every_row_ends_the_run(album, counting):
    class Forgetful(FeatureStore):
        def open(self, *arguments):
            log = super().open(*arguments)
            log.append = lambda *_: "lost"
            return log

    album.write(["a", "b"])
    with pytest.raises(RunError, match=r"expected the rows just computed .* found 3 of them removed"):
        album.embed(settings={"store": Forgetful(album.store)})
    assert (len(counting.encoded), counting.loads) == (3 * ROUNDS, 1)


@pytest.mark.parametrize("lost", [RowsRemoved, CorruptSegment])
def test_one_bound_holds_for_rows_lost_before_and_during_the_export(album, counting, lost):
    appends, reads = [], []

    class Leaking(FeatureStore):
        """Loses the first commit, and every row when it is read."""

        def open(self, *arguments):
            log = super().open(*arguments)
            append = log.append

            def leaked(*arguments):
                appends.append(1)
                return "lost" if len(appends) == 1 else append(*arguments)

            def failing(*_):
                reads.append(1)
                for segment in album.segments():
                    segment.unlink()
                raise lost("gone")

            log.append, log.read = leaked, failing
            return log

    album.write(["a", "b"])
    with pytest.raises(lost, match="gone"):
        album.embed(settings={"store": Leaking(album.store, durability="none")})
    assert (len(appends), len(reads), len(counting.encoded)) == (ROUNDS, ROUNDS - 1, 3 * ROUNDS)
    assert not album.outputs.matrix.exists()


def test_a_damaged_segment_is_computed_again(album):
    album.write([f"caption {number}" for number in range(20)])
    album.embed(settings={"commit_seconds": 0})
    damaged = album.segments()[0]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 255
    damaged.write_bytes(data)
    result = album.embed("again.zarr.zip")
    assert result.failed == 0
    assert 1 <= result.new <= 4
    assert album.matrix("again.zarr.zip").digest == album.matrix().digest


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a folder that refuses even root")  # noqa: PTH112
def test_a_store_that_refuses_writing_is_found_out_before_the_model_is_loaded(album, counting):
    album.write(["a"])
    with pytest.raises(StoreNotWritable, match="no right to"):
        album.embed(settings={"store": FeatureStore("/sys/kernel/diptych")})
    assert counting.loads == 0


def test_a_file_in_place_of_the_store_is_found_out_before_the_model_is_loaded(album, counting):
    album.write(["a"])
    album.store.write_text("not a folder")
    with pytest.raises(StoreError, match="expected a folder as the store"):
        album.embed()
    assert counting.loads == 0


def test_an_unknown_device_is_refused_before_the_model_is_loaded(album, counting):
    counting.runs_network = True
    album.write(["a"])
    with pytest.raises(ValueError, match="expected auto, cpu, cuda"):
        album.embed(settings={"device": "gpu"})
    assert counting.loads == 0


def test_an_encoder_without_a_network_asks_for_no_device(album, counting):
    album.write(["a"])
    assert counts(album.embed(settings={"device": "cuda:99"})) == (0, 2, 0)
    assert counting.loads == 1
