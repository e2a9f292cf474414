"""Where the time of one entry's run went and what it counted: bars and verbs tell, `recorded` writes it down."""

from __future__ import annotations

from collections.abc import Mapping

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
