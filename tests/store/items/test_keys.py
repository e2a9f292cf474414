from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import KEY_BYTES, InvalidKey, content_key, image_key, key_array, text_key
from store.items.keys import sortable, strictly_ascending


def test_a_key_follows_from_modality_and_content_alone():
    assert content_key("text", b"a") == content_key("text", b"a")
    assert len(content_key("text", b"")) == KEY_BYTES
    assert content_key("text", b"a") != content_key("image", b"a")
    assert content_key("text", b"ab") != content_key("texta", b"b")
    assert image_key(b"a") == content_key("image", b"a")


def test_text_is_keyed_by_its_exact_bytes():
    composed, decomposed = "\u00e9", "e\u0301"
    assert text_key(composed) != text_key(decomposed)
    assert text_key("a") != text_key("a ")
    assert text_key("a\0b") != text_key("a")


def test_a_lone_surrogate_is_refused():
    with pytest.raises(InvalidKey, match="lone surrogate at character 1"):
        text_key("a\ud800")


def test_known_keys_never_change():
    # A changed digest would silently empty every store in use.
    assert text_key("diptych").hex() == "f7fbaac4bf926fd1308613111fc447c239f634431028bfcd0555cb3a7b5d80bb"


def test_key_array_stacks_and_refuses_wrong_sizes():
    keys = key_array([text_key("a"), text_key("b")])
    assert (keys.dtype, keys.shape) == (np.uint8, (2, KEY_BYTES))
    assert key_array([]).shape == (0, KEY_BYTES)
    with pytest.raises(InvalidKey, match="found 3 at position 1"):
        key_array([text_key("a"), b"abc"])


@given(st.lists(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), max_size=20))
def test_sorting_columns_is_sorting_bytes(keys):
    array = key_array(keys)
    ordered = array[np.argsort(sortable(array), kind="stable")]
    assert [row.tobytes() for row in ordered] == sorted(keys)
    assert strictly_ascending(ordered) == (len(set(keys)) == len(keys))


def test_trailing_zeros_count():
    keys = np.zeros((2, KEY_BYTES), dtype=np.uint8)
    keys[1, 0] = 1
    assert strictly_ascending(keys)
    assert not strictly_ascending(keys[::-1])
    assert not strictly_ascending(keys[[0, 0]])
