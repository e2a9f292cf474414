"""Tells what a matrix shows, text or image, back to the encoders it was made from; `leaderboard` asks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stages.encoders.inputs import JOINED
from stages.errors import InputError
from stages.records import IMAGE
from stages.report.matrices import MatrixRow


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


def lineage(matrices: Iterable[MatrixRow]) -> Lineage:
    """Return the lineage that the cards of the matrices tell."""
    rows = list(matrices)
    made = {row.name: row.sources for row in rows if row.verb != "embed"}
    return Lineage({row.name: row.field for row in rows if row.verb == "embed"}, made)
