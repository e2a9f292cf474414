from __future__ import annotations

import pickle  # only to show that fingerprints travel to worker processes
from enum import IntEnum

import numpy as np
import pytest

from store import Fingerprint, canonical_json

RECORD = {"weights": "sha256:00", "pooling": {"kind": "mean", "layers": [1, 2]}, "normalise": True, "eps": 0.5}


def test_the_order_of_fields_does_not_matter_and_their_values_do():
    one = Fingerprint.of("bert", RECORD)
    same = Fingerprint.of("bert", dict(reversed(RECORD.items())))
    assert one == same
    assert len(one.digest) == 64
    assert one.folder == f"bert-{one.digest[:16]}"
    for changed in ({"weights": "sha256:01"}, {"normalise": 1}, {"eps": 0.25}, {"pooling": {"kind": "cls"}}):
        assert Fingerprint.of("bert", RECORD | changed).digest != one.digest
    assert Fingerprint.of("bge", RECORD).digest != one.digest


def test_known_digest_never_changes():
    assert canonical_json({"b": [1, 1.5, None, True], "a": "é"}) == '{"a":"é","b":[1,1.5,null,true]}'.encode()
    digest = Fingerprint.of("bert", {"weights": "00"}).digest
    assert digest == "3fd9289031b8613339b21e03795e160bd82ddfd359f49acbbdf972fd3e54b78c"


def test_the_record_is_a_copy():
    one = Fingerprint.of("bert", RECORD)
    one.record["pooling"]["kind"] = "cls"
    assert one.record == RECORD
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 (made here)


def test_a_miss_is_explained_by_the_fields_that_differ():
    one = Fingerprint.of("bert", RECORD)
    other = Fingerprint.of("bert", {"weights": "sha256:01", "pooling": {"kind": "cls", "layers": [1, 2]}, "eps": 0.5})
    assert one.differences(other) == [
        "normalise: True != (absent)",
        "pooling.kind: 'mean' != 'cls'",
        "weights: 'sha256:00' != 'sha256:01'",
    ]
    assert one.differences(one) == []
    assert Fingerprint.of("a", {"x": 1}).differences(Fingerprint.of("b", {"x": 1.0})) == [
        "encoder: 'a' != 'b'",
        "x: 1 != 1.0",
    ]


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize("value", [(1, 2), np.float64(1), np.int64(1), {1}, b"x", {1: 2}, Colour.RED, object()])
def test_only_plain_data_is_fingerprinted(value):
    with pytest.raises(TypeError, match=r"record\.record\.inner"):
        Fingerprint.of("bert", {"inner": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_values_without_a_json_form_are_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 (json's own message)
        Fingerprint.of("bert", {"inner": value})


@pytest.mark.parametrize("name", ["", "Bert", "a/b", "..", ".a", "a b", "a\n", "é", "a" * 65, "-a"])
def test_names_that_are_no_good_folder_are_refused(name):
    with pytest.raises(ValueError, match="expected an encoder name"):
        Fingerprint.of(name, {})
