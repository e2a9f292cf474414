"""Names places of the page: an anchor for every experiment, system and matrix, whatever its name is made of."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")


def anchor(kind: str, name: str) -> str:
    """Return an id that is unique for the kind and the name, and needs no escaping in a link.

    Parameters
    ----------
    kind : str
        Such as "experiment" or "matrix".
    name : str
        Anything. What a name of params.yaml may be made of stays; of all else a digest is taken, behind an underscore
        that no plain name begins with.
    """
    if _PLAIN.fullmatch(name):
        return f"{kind}-{name}"
    return f"{kind}-_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
