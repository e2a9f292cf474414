"""Encoders of pairs through `embed`: a text and a picture are one content, found again under any name."""

from __future__ import annotations

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.embed.audit import AuditSettings, audit
from stages.embed.params import EmbedParams
from store import FeatureStore
from store.items.manifest import Manifest
from tests.stages.embed.album import picture
from tests.stages.embed.counting import vector_of

PAIR = {"encoder": "pairing", "field": "caption"}


def test_a_row_needs_both_inputs_and_the_others_are_zero(album, pairing):
    album.write_pairs(["a", "b", None, "d", None], [1, None, 3, 1, None])
    result = album.embed(**PAIR, dtype="float32")
    assert (result.new, result.cached, result.failed) == (2, 0, 0)
    matrix = album.matrix()
    assert matrix.present.tolist() == matrix.ok.tolist() == [True, False, False, True, False]
    rows = album.rows()
    assert np.array_equal(rows[0], vector_of(("a", picture(1))))
    assert np.array_equal(rows[3], vector_of(("d", picture(1))))
    assert not rows[[1, 2, 4]].any()
    assert sorted(pairing.encoded) == [("a", picture(1)), ("d", picture(1))]
    assert (album.card()["field"], album.card()["missing"]) == ("caption + image", "zero")


def test_renamed_and_repeated_pairs_are_found_again(album, pairing):
    album.write_pairs(["a", "a", "b"], [1, 1, 1])
    assert album.embed(**PAIR).new == len(pairing.encoded) == 2
    album.write_pairs(["b", "a"], [1, 1], ids=["moved", "named"])
    again = album.embed(**PAIR)
    assert (again.cached, again.new, len(pairing.encoded)) == (2, 0, 2)
    # The same texts beside other pictures are other pairs, and so are the texts and pictures alone.
    album.write_pairs(["a", "b"], [2, 2])
    assert album.embed(**PAIR).new == 2


@pytest.mark.parametrize("content", [b"no picture", picture(3)[:60]])
def test_a_picture_that_cannot_be_decoded_fails_its_pair_alone(album, pairing, monkeypatch, content):
    from stages.models.encoders.image.decoding import load_image

    def decoded(raws):
        return [(text, load_image(raw) and raw) for text, raw in raws]

    monkeypatch.setattr(pairing, "prepare", decoded)
    album.write_pairs(["a", "b", "c"], [1, content, 2])
    result = album.embed(**PAIR, max_failed_share=0.5)
    assert (result.new, result.failed) == (2, 1)
    assert album.matrix().present.tolist() == [True, True, True]
    assert album.matrix().ok.tolist() == [True, False, True]
    ((name, reason),) = album.failed()
    assert name == "i1"
    assert reason.startswith("UndecodableImage: ")


def test_a_picture_that_went_away_fails_its_pair(album):
    album.write_pairs(["a", "b"], [1, 2])
    (album.pictures / "i1.png").unlink()
    album.embed(**PAIR, max_failed_share=0.5)
    assert album.failed() == [["i1", "ItemError: i1.png: No such file or directory"]]


def test_stored_pairs_are_encoded_again_by_the_audit(album):
    album.write_pairs(["a", "b", None], [1, 2, 3])
    album.embed(**PAIR)
    store = FeatureStore(album.store)
    manifest = Manifest.open(album.manifest)
    found = audit(EmbedParams(**PAIR), manifest, store, AuditSettings(1.0), SilentProgress())
    assert (found.stored, found.checked, found.failed, found.wrong) == (2, 2, 0, [])


def test_no_empty_pair_stands_in_for_missing_ones():
    with pytest.raises(ValueError, match="encode_empty is for texts; use zero for pairs"):
        EmbedParams(**PAIR, missing="encode_empty")
    with pytest.raises(ValueError, match="encoder 'pairing' reads a text field; found field 'image'"):
        EmbedParams(encoder="pairing", field="image")
