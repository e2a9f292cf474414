"""The plumbing between verbs: for each entry of a section, the digests of the matrices that it reads, as one JSON.

DVC cannot template a list of dependencies, and a dependency on a whole folder would rerun every experiment when one
encoder is added. So `wire@<verb>` writes `data/wire/<verb>.json`, and each entry depends on its own key in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline import paths
from pipeline.cards import stated_digest
from pipeline.params import Params
from stages.errors import InputError
from stages.outputs import write_json

WIRED = ("fuse", "train", "retrieve")


def wire(verb: str, params: Params) -> dict[str, dict[str, str]]:
    """Write and return {entry: {feature name: digest of its matrix}}.

    Raises
    ------
    InputError
        When the verb reads no matrices, or one of them is not there yet.
    """
    if verb not in WIRED:
        raise InputError(f"wire: expected one of {list(WIRED)}; found {verb!r}.")
    entries: Mapping[str, object] = getattr(params, verb)
    wired = {
        name: {each: stated_digest(params.matrices, each) for each in features_of(entry)}
        for name, entry in entries.items()
    }
    write_json(paths.wired(verb), wired)
    return wired


def features_of(entry: object) -> list[str]:
    """Return the feature names that an entry of any verb reads."""
    features = getattr(entry, "features", [])
    return [features] if isinstance(features, str) else list(features)
