"""Turns the address of a store, a path or a URL, into the backend that serves it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import fsspec

from store.backends.local import LocalBackend
from store.backends.objects import ObjectBackend
from store.backends.protocol import Backend
from store.errors import UnsupportedStore
from store.files.publish import Durability

_SCHEMES = ("s3", "memory")


def open_backend(address: str | Path, durability: Durability = "full") -> Backend:
    """Choose the backend of an address; nothing is read or written yet.

    Parameters
    ----------
    address : str or Path
        A folder, ``s3://bucket/folder``, or ``memory://name`` (one process, for tests).
    durability : {"full", "none"}
        For folders; see `LocalBackend`.

    Raises
    ------
    UnsupportedStore
        When the scheme is not served, its package is not installed, or the URL holds a password.
    """
    text = str(address)
    if "\0" in text:
        raise UnsupportedStore(
            "expected a folder or a URL as the store, found a NUL character in it; correct the address"
        )
    if "://" not in text:
        return LocalBackend(Path(text), durability)
    try:
        url = urlsplit(text)
    except ValueError:  # its text may quote a password
        raise UnsupportedStore(
            f"expected a folder or {_SCHEMES[0]}://bucket/folder as the store, found no URL; correct the address"
        ) from None
    if url.scheme == "file" and not url.netloc:
        return LocalBackend(Path(url.path), durability)
    if url.scheme not in _SCHEMES or "::" in text:
        raise UnsupportedStore(
            f"expected a folder or one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)} as the store, "
            f"found {url.scheme}://...; mount the storage, or choose another"
        )
    return _object_backend(text, url)


def _object_backend(text: str, url: SplitResult) -> ObjectBackend:
    if "@" in url.netloc or url.query or url.fragment:
        raise UnsupportedStore(
            f"expected {url.scheme}://bucket/folder and nothing else, found a user name, password or query in the "
            "address, which would end up in logs; put credentials into the environment or ~/.aws"
        )
    if not url.netloc:
        raise UnsupportedStore(f"expected {url.scheme}://bucket/folder, found no bucket; name it")
    try:
        # Our own instance without a cache of listings: a shared one would hide what others have just written.
        files = fsspec.filesystem(url.scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise UnsupportedStore(
            f"expected the packages for {url.scheme}://, found none ({error}); run `pip install -e '.[{url.scheme}]'`"
        ) from None
    prefix = f"{url.netloc}{url.path}"
    return ObjectBackend(files, prefix if url.scheme == "s3" else f"/{prefix}", text)
