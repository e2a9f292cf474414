"""How long each entry last took on this machine: written by `verbs` when one is done, read for the report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline import paths
from stages.outputs import read_small_json, write_json


def time_file(verb: str, name: str) -> Path:
    """Return the file of one entry; the name is "" for a verb without entries."""
    return paths.RUNS / (f"{verb}-{name}.time.json" if name else f"{verb}.time.json")


def write_time(verb: str, name: str, seconds: float) -> None:
    """Keep how long an entry took, in seconds by the clock."""
    write_json(time_file(verb, name), {"seconds": round(seconds, 3)})


def read_seconds(verb: str, name: str) -> float | None:
    """Return how long an entry last took; None where it never ran here, or the file is no good."""
    seconds = read_small_json(time_file(verb, name)).get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def read_phases(name: str) -> dict[str, float]:
    """Return the seconds that the phases of `embed` took when it last computed vectors here; empty where unknown."""
    phases = read_small_json(paths.RUNS / f"embed-{name}.json").get("seconds")
    found: Iterable[tuple[Any, Any]] = phases.items() if isinstance(phases, dict) else ()
    return {str(phase): float(seconds) for phase, seconds in found if isinstance(seconds, int | float)}
