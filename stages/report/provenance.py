"""What made the page: code, versions, stored vectors, seeds and time; `pipeline` gathers what the machine knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.report.settings import Asked, seeds


@dataclass(frozen=True)
class Stored:
    """What the store holds of one encoder, told from the names of its segments.

    Attributes
    ----------
    encoder, fingerprint, dtype : str
    dim, segments, rows, bytes : int
        The rows of every data set that the store serves, not of this run alone.
    """

    encoder: str
    fingerprint: str
    dtype: str
    dim: int
    segments: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Timed:
    """How long one entry of a verb took when it last ran on this machine.

    Attributes
    ----------
    verb, name : str
        The name is "" for a verb without entries.
    seconds : float
        By the clock.
    phases : mapping of str to float
        For `embed`, the seconds of its phases. They run beside each other, and need not add up to the whole.
    """

    verb: str
    name: str
    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, float]:
        """The phases that took a twentieth of a second at least."""
        return {phase: seconds for phase, seconds in self.phases.items() if seconds >= 0.05}


@dataclass(frozen=True)
class Provenance:
    """What the report is told of the machine and the moment; nothing in it changes a result.

    Attributes
    ----------
    versions : mapping of str to str
        Of what computes, by the names of the packages.
    commit : str
        The commit of the working tree; "" without git.
    changed : bool
        Whether code or parameters differ from it.
    store : sequence of Stored or None
        None where the store cannot be reached.
    unreachable : str
        Why not.
    times : sequence of Timed
        In the order of the verbs; what did not run on this machine is not among them.
    """

    versions: Mapping[str, str]
    commit: str = ""
    changed: bool = False
    store: Sequence[Stored] | None = ()
    unreachable: str = ""
    times: Sequence[Timed] = ()


@dataclass(frozen=True)
class VerbTime:
    """The seconds of all entries of a verb, and its share of the whole in percent."""

    verb: str
    seconds: float
    share: float
    entries: tuple[Timed, ...]


@dataclass(frozen=True)
class Held:
    """One fingerprint of this run, the encoder that it names, and what the store holds of it where that is known."""

    encoder: str
    fingerprint: str
    stored: Stored | None


@dataclass(frozen=True)
class Origin:
    """The section of the page.

    Attributes
    ----------
    manifest, split : str
        The sha256 of the two files.
    seeds : tuple of (str, str, tuple of str)
        Each verb with its seeds and the entries that have them.
    times : tuple of VerbTime
    held : tuple of Held
        One for each fingerprint.
    others : tuple of Stored
        What the store holds of other encoders.
    machine : Provenance
    """

    manifest: str
    split: str
    seeds: tuple[tuple[str, str, tuple[str, ...]], ...]
    times: tuple[VerbTime, ...]
    held: tuple[Held, ...]
    others: tuple[Stored, ...]
    machine: Provenance

    @property
    def seconds(self) -> float:
        """The seconds of all verbs."""
        return sum(one.seconds for one in self.times)


def origin(machine: Provenance, asked: Asked, encoders: Mapping[str, str], manifest: Path, split: Path) -> Origin:
    """Put the section together; `encoders` names the encoder of each fingerprint."""
    stored = {one.fingerprint: one for one in machine.store or ()}
    return Origin(
        manifest=digest_of(manifest),
        split=digest_of(split),
        seeds=tuple(seeds(asked)),
        times=tuple(_by_verb(machine.times)),
        held=tuple(Held(name, mark, stored.get(mark)) for mark, name in encoders.items()),
        others=tuple(one for mark, one in stored.items() if mark not in encoders),
        machine=machine,
    )


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _by_verb(times: Sequence[Timed]) -> list[VerbTime]:
    total = sum(one.seconds for one in times)
    found = []
    for verb in dict.fromkeys(one.verb for one in times):
        entries = tuple(sorted((one for one in times if one.verb == verb), key=lambda one: -one.seconds))
        seconds = sum(one.seconds for one in entries)
        found.append(VerbTime(verb, seconds, 100 * seconds / total if total else 0.0, entries))
    return found
