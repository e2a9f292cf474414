"""The retrieval systems: their measures, which one leads, and queries with the items that are found first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.report.read.cards import Card, Cards
from store.errors import InputError
from store.results.cards import EntryCard

SHOWN = ("ndcg_5", "top_1", "top_5", "precision_5", "recall_10", "mrr")
_LEAD_K = 5


def lead_of(metrics: Mapping[str, Any]) -> str | None:
    """Name the measure that ranks a system: where items have several labels the mean Jaccard index, else ``top_1``.

    With several labels an item that shares any one is soon found, by a blind choice too; how much the label sets agree
    is not trivial. Of its list lengths five comes first, then the shortest. None where neither was measured.
    """
    lengths = sorted(int(k) for name in metrics if (k := name.removeprefix("jaccard_")).isdecimal())
    if lengths:
        return f"jaccard_{_LEAD_K if _LEAD_K in lengths else lengths[0]}"
    return "top_1" if "top_1" in metrics else None


def blind_of(metric: str, metrics: Mapping[str, Any]) -> float | None:
    """Return what a blind choice would reach of a measure; None where that is not told."""
    stem = metric.rpartition("_")[0]
    name = {"jaccard": "random_jaccard", "precision": "random_top_1"}.get(stem, f"random_{metric}")
    value = metrics.get(name)
    return float(value) if isinstance(value, int | float) else None


def measure_name(metric: str) -> str:
    """Return a measure as the head of a column has it."""
    return metric.replace("jaccard", "Jaccard").replace("ndcg", "nDCG").replace("_", " ")


def shown_of(systems: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the measures that some system has, those that lead before the others."""
    known = list(systems)
    leads = sorted({lead for each in known if (lead := lead_of(each)) is not None}, key=lambda name: name == "top_1")
    return [*leads, *(name for name in SHOWN if name not in leads and any(name in each for each in known))]


def rank_of(name: str, metrics: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
    """Order systems: by the measure that leads, the best first; those that have none last."""
    lead = lead_of(metrics)
    return lead is None, lead == "top_1", -float(metrics[lead]) if lead else 0.0, name


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
    """One retrieval system: what it says of itself, and a query that finds a relevant item at once beside another."""

    name: str
    told: EntryCard
    strips: tuple[Strip, ...]

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """Its metrics."""
        return self.told.means

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The ends of the 95 % interval of the metrics that have one."""
        return self.told.intervals

    @property
    def features(self) -> str:
        """The matrices that it compares, side by side."""
        return str(self.told.made_of.get("features", ""))

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
        System(path.stem, EntryCard.read(path), _strips(ranked / f"{path.stem}.parquet", cards, seed))
        for path in metrics
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
