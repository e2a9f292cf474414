"""What the report is given, and what it writes: the places of a run's files, and what the machine knows of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.report.settings import Asked


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
