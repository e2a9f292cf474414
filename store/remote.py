"""Where a matrix lies: a path of this machine, or a URL that fsspec opens; `matrix_opening` asks here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, cast

import fsspec

from store.errors import UnsupportedStore

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")
_LOCAL = ("file://", "local://")
_CREDENTIALS = re.compile(r"://[^/]*@")


def local_path(path: Path | str) -> Path | str:
    """Give a Path for what lies on this machine, and any other URL as it is.

    Raises
    ------
    UnsupportedStore
        When the URL holds a password.
    """
    if isinstance(path, Path) or not _URL.match(path):
        return Path(path)
    if _CREDENTIALS.search(path):
        raise UnsupportedStore(
            "expected a URL without a user name or password, found one that would end up in logs; put credentials into "
            "the environment or the storage's own file"
        )
    scheme = next((scheme for scheme in _LOCAL if path.startswith(scheme)), None)
    return path if scheme is None else Path(path.removeprefix(scheme))


def open_remote(url: str) -> IO[bytes]:
    """Open a file far away; its bytes come as they are asked for.

    Raises
    ------
    FileNotFoundError
        When there is none.
    UnsupportedStore
        When fsspec does not know such URLs, or lacks the package for them.
    """
    try:
        # A cached listing may state the size of a file that was replaced since.
        filesystem, place = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise UnsupportedStore(
            f"expected a URL that fsspec serves with the packages installed, found {url} ({error}); install what it "
            "names, or fetch the file"
        ) from error
    return cast("IO[bytes]", filesystem.open(place, "rb"))
