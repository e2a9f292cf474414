"""Where the time of one entry's run went, and how long each entry last took on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from store.files.outputs import read_small_json, write_json

_TOLD = 6


class Spent:
    """Seconds by phase and counts by name, of one run of one entry.

    Attributes
    ----------
    phases : dict of str to float
        Seconds; a name that comes again adds to its own.
    counts : dict of str to (int or float)
    overlapping : bool
        Whether phases ran side by side, so that their sum may be more than the run took.
    """

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self.counts: dict[str, int | float] = {}
        self.overlapping = False

    def add(self, phase: str, seconds: float) -> None:
        """Add to a phase."""
        self.phases[phase] = self.phases.get(phase, 0.0) + seconds

    def tell(self, counts: Mapping[str, int | float], phases: Mapping[str, float] | None = None) -> None:
        """Take counts, and phases that run side by side in place of those that the bars tell."""
        self.counts.update(counts)
        if phases is not None:
            self.phases, self.overlapping = dict(phases), True

    def split(self, seconds: float, known: str = "") -> str:
        """Say where so many seconds went: the longest phases in the order of the run, and what is left; "" without any.

        Parameters
        ----------
        known : str
            The beginning of phases that need not be said again.

        Examples
        --------
        >>> spent = Spent()
        >>> spent.add("train x, seed 0", 2.5)
        >>> spent.split(3.0, "train x, ")
        'seed 0 2.5 s, all else 0.5 s'
        """
        longest = sorted(self.phases, key=lambda name: -self.phases[name])[:_TOLD]
        told = [f"{name.removeprefix(known)} {self.phases[name]:.1f} s" for name in self.phases if name in longest]
        rest = seconds - sum(self.phases[name] for name in longest)
        return ", ".join([*told, f"all else {max(0.0, rest):.1f} s"]) if told else ""


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
