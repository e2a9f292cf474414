"""Names an item by its content, so that the feature store finds the vector of a renamed or duplicated item again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidKey

KEY_BYTES = 32
_DOMAIN = b"diptych/item/1"


def content_key(modality: str, payload: bytes) -> bytes:
    """Digest one item's content.

    Parameters
    ----------
    modality : str
        The kind of content ("text", "image", ...): equal bytes of two kinds have two keys.
    payload : bytes
        The bytes that an encoder would see.

    Returns
    -------
    bytes
        `KEY_BYTES` bytes of SHA-256.
    """
    digest = hashlib.sha256(_DOMAIN)
    # Each part is preceded by its length: joined bare, ("ab", "c") and ("a", "bc") would share a key.
    for part in (modality.encode(), payload):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def text_key(text: str) -> bytes:
    """Digest a text's exact UTF-8 bytes, with no normalisation.

    Raises
    ------
    InvalidKey
        When the text holds a lone surrogate and so has no UTF-8 form.
    """
    try:
        payload = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKey(
            f"expected text that has a UTF-8 form, found a lone surrogate at character {error.start}; "
            "decode the source with its right encoding, or drop the item"
        ) from error
    return content_key("text", payload)


def image_key(encoded: bytes) -> bytes:
    """Digest an image file's encoded bytes, as they lie on disk."""
    return content_key("image", encoded)


def key_array(keys: Sequence[bytes]) -> NDArray[np.uint8]:
    """Stack keys into one array.

    Returns
    -------
    ndarray of uint8, shape [len(keys), 32]

    Raises
    ------
    InvalidKey
        When a key is not `KEY_BYTES` bytes long.
    """
    for position, key in enumerate(keys):
        if len(key) != KEY_BYTES:
            raise InvalidKey(
                f"expected keys of {KEY_BYTES} bytes, found {len(key)} at position {position}; use content_key"
            )
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), KEY_BYTES).copy()


def sortable(keys: NDArray[np.uint8]) -> NDArray[np.void]:
    """View key rows as one column that numpy sorts, searches and compares like byte strings.

    Void and not bytes ("S32"): the latter drops trailing zeros, so two keys could compare equal.

    Parameters
    ----------
    keys : ndarray of uint8, shape [N, 32]

    Returns
    -------
    ndarray of V32, shape [N]
    """
    return np.ascontiguousarray(keys).view(np.dtype((np.void, KEY_BYTES))).reshape(len(keys))


def strictly_ascending(keys: NDArray[np.uint8]) -> bool:
    """Tell whether key rows (uint8, [N, 32]) are sorted and all different."""
    words = np.ascontiguousarray(keys).view(">u8")  # [N, 4]; big-endian words compare like bytes
    before, after = words[:-1], words[1:]
    differs = before != after
    first = differs.argmax(axis=1)[:, None]
    larger = np.take_along_axis(after, first, axis=1) > np.take_along_axis(before, first, axis=1)
    return bool(larger.all())
