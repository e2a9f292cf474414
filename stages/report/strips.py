"""Queries with the first items that each retrieval system finds for them: read from its files, shown by `page`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.errors import InputError
from stages.report.cards import Card, Cards
from stages.report.measures import blind_of, lead_of, rank_of
from stages.report.readings import intervals_of, read_json

LENGTH = 5
_COLUMNS = ["query", "rank", "id", "distance", "relevant"]


@dataclass(frozen=True)
class Find:
    """One found item."""

    card: Card
    distance: float
    relevant: bool


@dataclass(frozen=True)
class Strip:
    """A query and what was found for it, nearest first."""

    query: Card
    finds: tuple[Find, ...]


@dataclass(frozen=True)
class System:
    """One retrieval system: its metrics, and a query that finds a relevant item at once beside one that does not."""

    name: str
    metrics: Mapping[str, Any]
    strips: tuple[Strip, ...]

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The ends of the 95 % interval of the metrics that have one."""
        return intervals_of(self.metrics)

    @property
    def lead(self) -> str | None:
        """The measure that ranks it."""
        return lead_of(self.metrics)

    def blind(self, metric: str) -> float | None:
        """Return what a blind choice would reach of a measure."""
        return blind_of(metric, self.metrics)


def read_systems(metrics: Sequence[Path], ranked: Path, cards: Cards, seed: int) -> list[System]:
    """Read every retrieval system, the best first; none is no error.

    Parameters
    ----------
    metrics : sequence of Path
        The metrics files.
    ranked : Path
        The folder of the ranked results.
    cards : Cards
        Makes what the page shows.
    seed : int
        Chooses the queries.
    """
    systems = [
        System(path.stem, read_json(path), _strips(ranked / f"{path.stem}.parquet", cards, seed)) for path in metrics
    ]
    return sorted(systems, key=lambda one: rank_of(one.name, one.metrics))


def _strips(path: Path, cards: Cards, seed: int) -> tuple[Strip, ...]:
    if not path.is_file():
        return ()
    try:
        table = pq.read_table(path, columns=_COLUMNS, filters=[("rank", "<=", LENGTH)])
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InputError(
            f"expected ranked results in {path}, found another file ({error}); run `diptych retrieve`"
        ) from error
    rows = table.to_pylist()
    first = [row for row in rows if row["rank"] == 1]
    rng = np.random.default_rng(seed)
    chosen = []
    for wanted in (True, False):
        pool = [row["query"] for row in first if row["relevant"] is wanted]
        chosen += [pool[int(rng.integers(len(pool)))]] if pool else []
    return tuple(_strip(query, rows, cards, str(path)) for query in chosen)


def _strip(query: str, rows: list[dict[str, Any]], cards: Cards, origin: str) -> Strip:
    found = sorted((row for row in rows if row["query"] == query), key=lambda row: row["rank"])
    made = cards.of(cards.rows([query, *(row["id"] for row in found)], origin))
    finds = [Find(card, row["distance"], row["relevant"]) for card, row in zip(made[1:], found, strict=True)]
    return Strip(made[0], tuple(finds))
