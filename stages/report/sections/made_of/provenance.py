"""What made the page: code, versions, stored vectors, seeds and time; `pipeline` gathers what the machine knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stages.report.inputs import Asked, Provenance, Stored, Timed, seeds
from stages.report.read.finished import FinishedRun
from stages.report.sections.protocol import Section


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
class ProvenanceSection(Section):
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

    name: ClassVar[str] = "provenance"
    title: ClassVar[str] = "Provenance"

    manifest: str
    split: str
    seeds: tuple[tuple[str, str, tuple[str, ...]], ...]
    times: tuple[VerbTime, ...]
    held: tuple[Held, ...]
    others: tuple[Stored, ...]
    machine: Provenance

    @classmethod
    def read(cls, run: FinishedRun) -> ProvenanceSection:
        """Put the section together."""
        encoders = {row.fingerprint: row.what for row in run.matrices if row.fingerprint}
        inputs = run.inputs
        return origin(inputs.provenance, inputs.asked, encoders, inputs.manifest, inputs.split)

    @property
    def seconds(self) -> float:
        """The seconds of all verbs."""
        return sum(one.seconds for one in self.times)


def origin(
    machine: Provenance, asked: Asked, encoders: Mapping[str, str], manifest: Path, split: Path
) -> ProvenanceSection:
    """Put the section together; `encoders` names the encoder of each fingerprint."""
    stored = {one.fingerprint: one for one in machine.store or ()}
    return ProvenanceSection(
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
