"""Cards of entries as tests write and read them: one mapping, for no two parts of a card share a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from store.results.cards import EntryCard


def flat(card: EntryCard) -> dict[str, Any]:
    """Return all that a card says; what stands deeper has the names above it before its own."""
    parts = [dict(_flat(each)) for each in (card.metrics, card.counts, card.made_of)]
    assert sum(map(len, parts)) == len(parts[0] | parts[1] | parts[2])
    return parts[0] | parts[1] | parts[2]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}_")
        else:
            yield above + name, value


def read_card(path: Path) -> dict[str, Any]:
    """Return all that the card in a file says."""
    return flat(EntryCard.read(path))


def write_card(path: Path, values: Mapping[str, Any]) -> None:
    """Write a card: of the values floats and mappings are metrics, whole numbers counts; it is made of all else."""
    counts = {name: each for name, each in values.items() if type(each) is int}
    metrics = {name: each for name, each in values.items() if isinstance(each, float | dict) and name != "threshold"}
    made_of = {name: each for name, each in values.items() if name not in (*counts, *metrics)}
    path.parent.mkdir(parents=True, exist_ok=True)
    EntryCard(metrics, counts, made_of).write(path)


def change_card(path: Path, **values: Any) -> None:
    """Write a card again with other values, or some that it had not."""
    write_card(path, {**read_card(path), **values})
