from __future__ import annotations

from pathlib import Path

import numpy as np

from store import Fingerprint, Segment, Unsound, list_encoders, stats, verify
from store.segments.segment import build_segment


def test_a_sound_store_is_summed_up(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    log.append(*make_rows(5, 12), {})
    half = store.open(Fingerprint.of("half", {}), log.dim, "float16")
    half.append(*make_rows(0, 3, "float16"), {})
    (Path(log.shown) / "segments" / "odd\x1bname").write_bytes(b"?")
    (Path(log.shown) / "segments" / ".tmp-host-1-ff").write_bytes(b"?")
    first, second = list_encoders(store)
    assert (first.encoder, first.dtype, first.segments, first.rows) == ("half", "float16", 1, 3)
    assert (second.encoder, second.dim, second.segments, second.rows) == ("tiny", log.dim, 2, 12)
    assert second.foreign == ("odd\\x1bname",)
    assert second.bytes == sum((Path(log.shown) / "segments" / name).stat().st_size for name in log.segments())
    total = stats(store)
    assert (total.encoders, total.segments, total.rows) == (2, 3, 15)
    assert verify(store, rows=True) == []


def test_an_empty_store_is_sound(store):
    assert list_encoders(store) == []
    assert stats(store).bytes == 0
    assert verify(store) == []


def test_each_damage_is_named(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    name = log.append(*make_rows(5, 12), {})
    path = Path(log.shown) / "segments" / name
    path.write_bytes(path.read_bytes()[:-1])
    (problem,) = verify(store)
    assert (problem.encoder_folder, problem.segment) == (log.folder, name)
    assert "bytes, found" in problem.what


def test_a_bad_record_is_a_problem_and_a_strange_folder_is_not(store, log, make_rows):
    log.append(*make_rows(0, 5), {})
    (Path(store.address) / "v1" / "somebody").mkdir()
    assert verify(store) == []
    record = Path(log.shown) / "encoder.json"
    content = record.read_bytes()
    record.write_bytes(content[:-5])
    assert [problem.segment for problem in verify(store)] == [""]
    assert list_encoders(store) == []
    record.unlink()
    (problem,) = verify(store)
    assert isinstance(problem, Unsound)
    assert "found none" in problem.what


def test_a_row_altered_before_the_file_was_named_is_found_by_its_own_digest(store, log, make_rows):
    name = log.append(*make_rows(0, 5), {})
    good = log.files.read(name)
    vectors = good.vectors.copy()
    vectors[2, 0] += 1
    for changed, message in ((vectors, "the first row 2"), (np.zeros_like(vectors), "do not")):
        forged = Segment(good.keys, changed, good.row_digests, {}, good.fingerprint)
        forged_name, data = build_segment("zarr.zip", forged)
        (Path(log.shown) / "segments" / forged_name).write_bytes(data)
        assert verify(store) == []
        (problem,) = verify(store, rows=True)
        assert (problem.segment, message in problem.what) == (forged_name, True)
        (Path(log.shown) / "segments" / forged_name).unlink()
