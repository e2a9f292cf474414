"""Draws the items of a contact sheet by seed and over the classes, in bounded memory; for `preview`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from stages.items import Item

_CUT = 400
_UNLABELLED = 2


@dataclass
class _Drawer:
    """A fair draw of so many items out of those offered, however many they are."""

    size: int
    offered: int = 0
    items: list[Item] = field(default_factory=list)

    def offer(self, item: Item, random: Random) -> None:
        self.offered += 1
        if len(self.items) < self.size:
            self.items.append(_cut(item))
            return
        place = random.randrange(self.offered)
        if place < self.size:
            self.items[place] = _cut(item)


class Sample:
    """A few items of each of a few classes, and of the items without a class.

    Parameters
    ----------
    classes : tuple of str
        All classes; of more than `most` as many are drawn. Without any, all items are one class.
    most : int
        The largest number of items.
    seed : int
        Of the draw: the same stream gives the same items.
    """

    def __init__(self, classes: tuple[str, ...], most: int, seed: int) -> None:
        self._random = Random(f"diptych/preview/{seed}")  # noqa: S311 (a draw for people to look at)
        chosen = sorted(self._random.sample(range(len(classes)), min(most, len(classes))))
        each = -(-most // len(chosen)) + 2 if chosen else 0  # two more, for an item may stand for several classes
        self._most = most
        self._drawers = {classes[place]: _Drawer(each) for place in chosen}
        self._others = _Drawer(_UNLABELLED if chosen else most)

    def offer(self, item: Item) -> None:
        """Show one item of the stream."""
        if not item.labels:
            self._others.offer(item, self._random)
        for label in item.labels or ():
            if label in self._drawers:
                self._drawers[label].offer(item, self._random)

    def items(self) -> list[Item]:
        """Return the drawn items in the order of the classes, none twice."""
        turns = [*self._drawers.values(), self._others]
        chosen: dict[str, int] = {}
        found: dict[str, Item] = {}
        for place, item in _in_turn([drawer.items for drawer in turns]):
            if item.id not in chosen and len(chosen) < self._most:
                chosen[item.id], found[item.id] = place, item
        return [found[name] for name in sorted(found, key=lambda name: (chosen[name], name))]


def _in_turn(drawn: list[list[Item]]) -> Iterator[tuple[int, Item]]:
    """Yield the first item of each class, then the second of each, with the place of the class."""
    for rank in range(max(map(len, drawn), default=0)):
        for place, items in enumerate(drawn):
            if rank < len(items):
                yield place, items[rank]


def _cut(item: Item) -> Item:
    """Keep of an item what a sheet shows, for a text may be a megabyte."""
    return replace(item, texts={name: None if text is None else text[:_CUT] for name, text in item.texts.items()})
