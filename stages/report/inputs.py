"""What the report is given and what it writes: places of files, settings as asked for, what the machine knows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.errors import InputError

Asked = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""For each verb and entry the settings by name; a verb without entries has one of the name ""."""

_ABSOLUTE = re.compile(r"^(/|~|\\\\|[A-Za-z]:[\\/]|\w+://)")


@dataclass(frozen=True)
class Setting:
    """One setting of an entry; `given` tells whether params.yaml names it, or it is a default."""

    name: str
    value: str
    given: bool


def written(value: object) -> str:
    """Write a setting as text; a path of the machine or an address is only called so."""
    if isinstance(value, str):
        return "(a path of the machine that ran it)" if _ABSOLUTE.match(value) else value
    if isinstance(value, list | tuple) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(written(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {written(inner)}" for key, inner in value.items())
    return "none" if value is None else json.dumps(value)


def settings(entry: Mapping[str, Any], defaults: Mapping[str, Any], hidden: tuple[str, ...] = ()) -> list[Setting]:
    """Return the settings of an entry, then the defaults that it leaves alone."""
    return [
        *(Setting(name, written(value), given=True) for name, value in entry.items() if name not in hidden),
        *(Setting(name, written(value), given=False) for name, value in defaults.items() if name not in entry),
    ]


def seeds(asked: Asked) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return every seed with the verb and the entries that it is set for."""
    found: dict[tuple[str, str], list[str]] = {}
    for verb, name, value in _seeds(asked):
        found.setdefault((verb, value), []).append(name)
    return [(verb, value, tuple(name for name in names if name)) for (verb, value), names in found.items()]


def _seeds(asked: Asked) -> Iterator[tuple[str, str, str]]:
    for verb, entries in asked.items():
        for name, entry in entries.items():
            for key in ("seed", "seeds"):
                if entry.get(key) is not None:
                    yield verb, name, written(entry[key])


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
class ReportInputs:
    """What the report reads.

    Attributes
    ----------
    manifest, split : Path
        The files of `prepare` and `split`.
    metrics : Path
        The folder with `evaluate/`, `retrieve/`, `fit/`, `embed/`, `reduce/` and `fuse/`; only the first must hold
        something.
    entries : mapping of str to sequence of str
        For each of these verbs the names in params.yaml: files of entries that were removed are left alone.
    data : Path
        The folder with `train/`, `evaluate/`, `retrieve/`, `prepare/` and `split/`; what is missing is left out.
    published : mapping or None
        The content of the file that `report.published` names.
    asked, defaults : mapping
        For each verb and entry what params.yaml says, and what holds where it says nothing; a verb without entries
        has one of the name "".
    provenance : Provenance
        What there is to say of the machine and the moment.
    """

    manifest: Path
    split: Path
    metrics: Path
    data: Path
    entries: Mapping[str, Sequence[str]]
    published: Mapping[str, Any] | None = None
    asked: Asked = field(default_factory=dict)
    defaults: Asked = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance({}))

    def cards(self, verb: str) -> list[Path]:
        """Return the JSON files of a verb's entries, ordered by name.

        Raises
        ------
        InputError
            When one is not there.
        """
        files = [self.metrics / verb / f"{name}.json" for name in sorted(self.entries.get(verb, ()))]
        for path in files:
            if not path.is_file():
                raise InputError(f"expected {path}, found no file; run `diptych {verb} {path.stem}`")
        return files


@dataclass(frozen=True)
class ReportOutputs:
    """What the report writes: the page, the table, the comparison with published figures, and the paired tests."""

    page: Path
    leaderboard: Path
    compare: Path
    pairs: Path
