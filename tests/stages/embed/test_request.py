"""What a run wants of a manifest: each content once, in the order of the rows."""

from __future__ import annotations

import pytest

from stages.embed.request import make_request
from stages.encoders.inputs import Inputs
from stages.encoders.row import Kind
from stages.errors import InputError
from stages.items import Manifest
from store import text_key

from .album import Album

CAPTIONS = ["b", None, "a", "b", None, "c", "a"]


def inputs(album: Album, field: str = "caption", kind: Kind = "text") -> Inputs:
    return Inputs.of(Manifest.open(album.manifest), kind, field)


def keys_of(*texts: str) -> list[bytes]:
    return [text_key(each) for each in texts]


def test_distinct_contents_in_the_order_of_their_first_rows(album):
    album.write(CAPTIONS)
    request = make_request(inputs(album), with_empty=False)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c")
    assert request.first.tolist() == [0, 2, 5]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == -1


def test_the_empty_text_comes_last_and_belongs_to_no_row(album):
    album.write(CAPTIONS)
    request = make_request(inputs(album), with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c", "")
    assert request.first.tolist() == [0, 2, 5, -1]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == 3


def test_an_empty_text_that_a_row_has_is_not_asked_for_twice(album):
    album.write(["a", "", "b"])
    request = make_request(inputs(album), with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("a", "", "b")
    assert (request.empty, request.first.tolist(), request.inverse.tolist()) == (1, [0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("captions", [[], [None, None]])
@pytest.mark.parametrize("with_empty", [True, False])
def test_nothing_to_encode(album, captions, with_empty):
    album.write(captions)
    request = make_request(inputs(album), with_empty=with_empty)
    assert request.keys.shape == (int(with_empty), 32)
    assert request.inverse.tolist() == [-1] * len(captions)


def test_an_unknown_field_is_refused_with_those_that_exist(album):
    album.write(CAPTIONS)
    with pytest.raises(InputError, match="found 'title'; those that exist: image, caption"):
        make_request(inputs(album, "title"), with_empty=False)


def test_a_pair_is_one_content_and_needs_both(album):
    album.write_pairs(["a", "a", None, "a", "b", "b"], [1, 2, 1, 1, None, 1])
    request = make_request(inputs(album, kind="pair"), with_empty=False)
    assert request.inverse.tolist() == [0, 1, -1, 0, -1, 2]
    assert request.first.tolist() == [0, 1, 5]
