"""Which measures the page shows of retrieval: the one that leads, and beside each what a blind choice would reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
