"""What the run was made of before anything was trained: data and split, encoders and matrices, what was fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stages.report.read.data import DataSummary, Leaks
from stages.report.read.finished import FinishedRun
from stages.report.read.matrices import FittedRow, MatrixRow
from stages.report.sections.protocol import Section


@dataclass(frozen=True)
class DataSection(Section):
    """Counts of the data and the split, and the test items that resemble train or dev."""

    name: ClassVar[str] = "data"
    title: ClassVar[str] = "Data"

    summary: DataSummary
    leaks: Leaks | None

    @classmethod
    def read(cls, run: FinishedRun) -> DataSection:
        """Count the items."""
        return cls(run.data, run.leaks)


@dataclass(frozen=True)
class EncoderSection(Section):
    """Where the vectors come from; `fitted` is what the next section lists."""

    name: ClassVar[str] = "encoders"
    title: ClassVar[str] = "Encoders"

    matrices: tuple[MatrixRow, ...]
    fitted: tuple[FittedRow, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> EncoderSection | None:
        """List the matrices; None without any."""
        return cls(tuple(run.matrices), tuple(run.fitted)) if run.matrices else None


@dataclass(frozen=True)
class FittedSection(Section):
    """What was fitted without being an experiment, and on what."""

    name: ClassVar[str] = "fitted"
    title: ClassVar[str] = "Fitted"

    rows: tuple[FittedRow, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> FittedSection | None:
        """List what was fitted; None where nothing was."""
        return cls(tuple(run.fitted)) if run.fitted else None
