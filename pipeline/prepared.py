"""What a person is told by `prepare`: what changed, how many items there are, what was rejected, what is missing."""

from __future__ import annotations

from pipeline import paths
from pipeline.console import out
from pipeline.tables import PlainTable
from pipeline.unwatched import changed_since_last_time, told
from stages.contract import Progress
from stages.prepare.params import PrepareParams
from stages.prepare.summary import PrepareSummary
from store.backend import printable


def tell_of_changes(params: PrepareParams, progress: Progress) -> None:
    """Say before a run which files changed behind DVC's back since the last one here; all are read again anyway."""
    changes = changed_since_last_time(params, progress)
    if changes.changed:
        out.print(f"prepare: changed since the last time, where DVC does not watch: {told(changes)}", markup=False)


def print_summary(summary: PrepareSummary) -> None:
    """Print the counts; the table of missing inputs where some items lack what others have."""
    rejected = sum(summary.rejected.values())
    out.print(f"prepare: {summary.kept} items kept, {rejected} rejected of {summary.read}", markup=False)
    if rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.rejected.items())
        out.print(f"prepare: rejected are {reasons}; {paths.REJECTS} lists them", markup=False)
    if any(0 < count < summary.kept for count in summary.missing.values()):
        out.print(_missing_table(summary))
    for note in summary.notes:
        out.print(f"prepare: note: {printable(note)}", markup=False)


def _missing_table(summary: PrepareSummary) -> PlainTable:
    table = PlainTable("source", numbers=("rows", *(f"no {name}" for name in summary.missing)))
    for row in summary.missing_by:
        shares = (f"{count:,} ({row.share[name]:.1%})" for name, count in row.missing.items())
        table.add_row(row.source, f"{row.rows:,}", *shares)
    return table
