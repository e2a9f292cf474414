"""Tells what a matrix shows, text or image, back to the encoders it was made from; `leaderboard` asks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.encoders.inputs import JOINED
from stages.errors import InputError
from stages.records import IMAGE
from stages.report.readings import read_json


@dataclass(frozen=True)
class Lineage:
    """Where matrices come from.

    Attributes
    ----------
    fields : mapping of str to str
        For each matrix of an encoder, what it encodes: "image", a text field, or both, as "caption + image".
    sources : mapping of str to tuple of str
        For each reduced or fused matrix, the matrices that it is made from.
    """

    fields: Mapping[str, str]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def modalities(self, features: Iterable[str]) -> frozenset[str]:
        """Tell whether matrices show "text", "image" or both; empty where one of them is unknown."""
        seen: set[str] = set()
        for name in features:
            found = self._of(name, frozenset())
            if not found:
                return frozenset()
            seen |= found
        return frozenset(seen)

    def _of(self, name: str, above: frozenset[str]) -> frozenset[str]:
        if name in self.fields:
            return frozenset("image" if each == IMAGE else "text" for each in self.fields[name].split(JOINED))
        if name in above:
            raise InputError(f"expected matrices made from others, found {name!r} made from itself; run `dvc repro`")
        parts = [self._of(source, above | {name}) for source in self.sources.get(name, ())]
        return frozenset().union(*parts) if all(parts) else frozenset()


def read_lineage(cards: Sequence[Path], fields: Mapping[str, str]) -> Lineage:
    """Read the cards of `reduce` and `fuse`, each of which names its `features`.

    Parameters
    ----------
    cards : sequence of Path
        The JSON files.
    fields : mapping of str to str
        The field of each encoder's matrix.

    Raises
    ------
    InputError
        When one of the files is no JSON object.
    """
    sources = {}
    for path in cards:
        features = read_json(path).get("features", ())
        sources[path.stem] = (features,) if isinstance(features, str) else tuple(map(str, features))
    return Lineage(fields, sources)
