"""The plumbing between verbs: for each entry of a section, the digests of what it reads from other entries, as JSON.

DVC cannot template a list of dependencies, and a dependency on a whole folder would rerun every experiment when one
encoder is added. So `wire@<verb>` writes `data/wire/<verb>.json`, and each entry depends on its own key in it: digests
of matrices by the names of features, and for `embed` the digest of the fitted encoder by its name in `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline import paths
from pipeline.cards import card_digest, stated_digest
from pipeline.params import Params
from stages.errors import InputError
from stages.outputs import write_json

WIRED = ("embed", "fuse", "train", "retrieve")


def wire(verb: str, params: Params) -> dict[str, dict[str, str]]:
    """Write and return {entry: {name of what it reads: digest}}; a frozen encoder reads nothing.

    Raises
    ------
    InputError
        When nothing is wired to the verb, or something that it reads is not there yet.
    """
    if verb not in WIRED:
        raise InputError(f"wire: expected one of {list(WIRED)}; found {verb!r}.")
    entries: Mapping[str, Any] = getattr(params, verb)
    wired = {name: _reads(verb, entry, params) for name, entry in entries.items()}
    write_json(paths.wired(verb), wired)
    return wired


def _reads(verb: str, entry: Any, params: Params) -> dict[str, str]:
    if verb == "embed":
        return {} if entry.fit is None else {entry.fit: card_digest("fit", entry.fit)}
    return {each: stated_digest(params.matrices, each) for each in features_of(entry)}


def features_of(entry: object) -> list[str]:
    """Return the feature names that an entry of any verb reads."""
    features = getattr(entry, "features", [])
    return [features] if isinstance(features, str) else list(features)
