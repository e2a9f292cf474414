"""Gathers mistakes that stop a run, so that a person reads twenty at once and not one a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from store.errors import InputError

_MOST = 20


class Mistakes:
    """Mistakes in the order found, each with its place."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether enough have been gathered to stop looking."""
        return len(self._found) >= _MOST

    def add(self, where: str, what: str) -> None:
        """Note one mistake: `where` as file:line, `what` as expected, found, remedy."""
        if not self.full:
            self._found.append(f"{where}: {what}")

    def add_message(self, message: str) -> None:
        """Note a mistake that has been put into words already, place and all."""
        self._found.append(message)

    def raise_any(self, notes: Iterable[str] = ()) -> None:
        """Stop the run if anything was found.

        Parameters
        ----------
        notes : iterable of str
            What may be the cause; told last.

        Raises
        ------
        InputError
            With all of them, one a line.
        """
        told = [*self._found, *(f"note: {note}" for note in notes)]
        if len(self._found) == 1:
            raise InputError("\n  ".join(told))
        if self._found:
            count = f"{len(self._found)} mistakes{' and perhaps more' if self.full else ''}"
            raise InputError("\n  ".join([f"{count}; nothing was written:", *told]))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known names, ignoring case and outer blanks; "" where none is near."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.strip().casefold(), candidate)
    near = difflib.get_close_matches(name.strip().casefold(), list(folded), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(folded[match]) for match in near)}?" if near else ""
