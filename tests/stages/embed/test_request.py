"""What a run wants of a manifest: each content once, in the order of the rows, and read with care."""

from __future__ import annotations

import numpy as np
import pytest

from stages.embed.request import loader, make_request
from stages.errors import InputError, ItemError
from stages.items import Manifest
from store import text_key

from .album import picture

CAPTIONS = ["b", None, "a", "b", None, "c", "a"]


def keys_of(*texts: str) -> list[bytes]:
    return [text_key(each) for each in texts]


def test_distinct_contents_in_the_order_of_their_first_rows(album):
    album.write(CAPTIONS)
    request = make_request(Manifest.open(album.manifest), "caption", with_empty=False)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c")
    assert request.first.tolist() == [0, 2, 5]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == -1


def test_the_empty_text_comes_last_and_belongs_to_no_row(album):
    album.write(CAPTIONS)
    request = make_request(Manifest.open(album.manifest), "caption", with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c", "")
    assert request.first.tolist() == [0, 2, 5, -1]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == 3


def test_an_empty_text_that_a_row_has_is_not_asked_for_twice(album):
    album.write(["a", "", "b"])
    request = make_request(Manifest.open(album.manifest), "caption", with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("a", "", "b")
    assert (request.empty, request.first.tolist(), request.inverse.tolist()) == (1, [0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("captions", [[], [None, None]])
@pytest.mark.parametrize("with_empty", [True, False])
def test_nothing_to_encode(album, captions, with_empty):
    album.write(captions)
    request = make_request(Manifest.open(album.manifest), "caption", with_empty=with_empty)
    assert request.keys.shape == (int(with_empty), 32)
    assert request.inverse.tolist() == [-1] * len(captions)


def test_an_unknown_field_is_refused_with_those_that_exist(album):
    album.write(CAPTIONS)
    with pytest.raises(InputError, match="found 'title'; those that exist: image, caption"):
        make_request(Manifest.open(album.manifest), "title", with_empty=False)


def test_texts_are_read_by_position_in_the_slice(album):
    album.write(CAPTIONS)
    manifest = Manifest.open(album.manifest)
    request = make_request(manifest, "caption", with_empty=True)
    load = loader(manifest, "caption", "text", request, np.array([2, 0, 3]))
    assert [load(item) for item in range(3)] == ["c", "b", ""]


def test_pictures_are_read_and_checked_against_their_keys(album):
    album.write_pictures([3, 4, 3, None, 5])
    manifest = Manifest.open(album.manifest)
    request = make_request(manifest, "image", with_empty=False)
    load = loader(manifest, "image", "image", request, np.array([2, 1, 0]))
    assert [load(item) for item in range(3)] == [picture(5), picture(4), picture(3)]
    (album.pictures / "1.png").write_bytes(picture(9))
    (album.pictures / "4.png").unlink()
    with pytest.raises(ItemError, match=r"^1\.png: the file changed since `diptych prepare` read it"):
        load(1)
    with pytest.raises(ItemError, match=r"^4\.png: No such file or directory$"):
        load(0)
    assert load(2) == picture(3)


def test_a_link_out_of_the_folder_is_not_followed(album, tmp_path):
    album.write_pictures([3])
    (tmp_path / "secret.png").write_bytes(picture(3))
    (album.pictures / "0.png").unlink()
    (album.pictures / "0.png").symlink_to(tmp_path / "secret.png")
    manifest = Manifest.open(album.manifest)
    request = make_request(manifest, "image", with_empty=False)
    with pytest.raises(ItemError, match="leads elsewhere"):
        loader(manifest, "image", "image", request, np.array([0]))(0)
