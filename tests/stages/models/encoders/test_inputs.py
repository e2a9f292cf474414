"""What is read of an item: texts, pictures and pairs of both, by content, in the order that is asked for, with care."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.row import Kind
from stages.models.encoders.inputs import Inputs
from store import content_key, image_key, text_key
from store.errors import InputError, ItemError
from store.items.manifest import Manifest
from tests.stages.embed.album import Album, picture


@pytest.fixture
def album(tmp_path: Path) -> Album:
    return Album(tmp_path)


def inputs(album: Album, kind: Kind, field: str = "caption") -> Inputs:
    return Inputs.of(Manifest.open(album.manifest), kind, field)


def test_texts_are_read_by_position_and_minus_one_is_the_empty_text(album):
    album.write(["b", None, "a", "c"])
    load = inputs(album, "text").loader(np.array([3, 0, -1, 1]))
    assert [load(item) for item in range(4)] == ["c", "b", "", ""]


def test_pictures_are_read_and_checked_against_their_keys(album):
    album.write_pictures([3, 4, 3, None, 5])
    load = inputs(album, "image", "image").loader(np.array([4, 1, 0]))
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
    with pytest.raises(ItemError, match="symbolic link leads to"):
        inputs(album, "image", "image").loader(np.array([0]))(0)


def test_a_pair_is_read_as_text_and_picture(album):
    album.write_pairs(["one", "two", "three"], [1, 2, 3])
    load = inputs(album, "pair").loader(np.array([2, 0]))
    assert [load(0), load(1)] == [("three", picture(3)), ("one", picture(1))]
    (album.pictures / "i0.png").write_bytes(picture(9))
    with pytest.raises(ItemError, match="changed since"):
        load(1)


def test_the_key_of_a_pair_follows_from_both_contents_alone(album):
    album.write_pairs(["one", "two", "one", None, "one", "two"], [1, 1, 2, 1, None, 1])
    keys, present = inputs(album, "pair").keys()
    assert present.tolist() == [True, True, True, False, False, True]
    assert keys[0].tobytes() == content_key("pair", text_key("one") + image_key(picture(1)))
    assert np.array_equal(keys[1], keys[5])
    assert len({keys[row].tobytes() for row in (0, 1, 2)}) == 3
    assert not keys[~present].any()


@pytest.mark.parametrize("kind", ["text", "image", "pair"])
def test_the_digest_follows_what_is_read_and_nothing_else(album, kind):
    field = "image" if kind == "image" else "caption"

    def digest(captions: list[str | None], pictures: list[int | None]) -> str:
        album.write_pairs(captions, pictures)
        return inputs(album, kind, field).content_digest()

    whole = digest(["a", "b", None], [1, 2, 3])
    assert digest(["a", "b", None], [1, 2, 3]) == whole
    assert (digest(["a", "x", None], [1, 2, 3]) != whole) == (kind != "image")
    assert (digest(["a", "b", None], [1, 4, 3]) != whole) == (kind != "text")
    # An item without a text has no pair, whatever its picture shows.
    assert (digest(["a", "b", None], [1, 2, 5]) != whole) == (kind == "image")
    assert (digest(["b", "a", None], [2, 1, 3]) != whole) is True


def test_names_and_unknown_fields(album):
    album.write_pairs(["a"], [1])
    assert inputs(album, "text").name == "caption"
    assert inputs(album, "pair").name == "caption + image"
    with pytest.raises(InputError, match="found 'title'; those that exist: image, caption"):
        inputs(album, "pair", "title").keys()
