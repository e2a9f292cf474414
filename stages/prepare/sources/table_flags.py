"""Looks for labels that are flags, a 0 or 1 for each class, where names were expected; `table_check` asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from stages.prepare.sources.table_cells import FLAGS, whole_number
from stages.prepare.table_params import TableParams


class TableFlags:
    """Looks at the labels of rows, and says afterwards whether they are flags or numbers in disguise.

    Parameters
    ----------
    table : TableParams
        Which columns hold the labels.
    """

    def __init__(self, table: TableParams) -> None:
        self._table = table
        self._lengths: set[int] = set()
        self._repeated = False
        self._other = False

    def look_at(self, given: Sequence[str] | None) -> None:
        """Look at the labels of a row as they stand there."""
        if self._table.labels is None or not given or self._other:
            return
        self._lengths.add(len(given))
        self._repeated = self._repeated or len(set(given)) < len(given)
        self._other = len(self._lengths) > 1 or not all(each.strip().lower() in FLAGS for each in given)

    def problem(self) -> str:
        """Return what is wrong where every list has a flag for each class, and nobody names the classes; "" else."""
        if self._other or not self._repeated or self._table.classes is not None:
            return ""
        return (
            f"column {self._table.labels!r}: expected names of classes, found 0 or 1 for each of {max(self._lengths)} "
            "classes (one-hot); name them in prepare.table.classes, in the order of the flags"
        )

    def notes(self, classes: Collection[str]) -> Iterator[str]:
        """Yield what is odd about the names of the classes that were found."""
        if self._table.classes is not None or self._table.onehot:
            return
        column = self._table.label or self._table.labels
        if {*classes} == {"0", "1"}:
            yield (
                f"the classes of column {column!r} are '0' and '1': where it is one of several columns of flags, one "
                "for each class, list them in prepare.table.onehot"
            )
        spelled = [label for label in classes if whole_number(label) not in (None, label)]
        if spelled and all(whole_number(label) for label in classes):
            beside = sorted({str(whole_number(label)) for label in spelled} & {*classes})
            another = f" ({beside[0]!r} is another class)" if beside else ""
            yield (
                f"{len(spelled)} classes of column {column!r} are whole numbers with a fraction, such as "
                f"{spelled[0]!r}, as pandas writes them beside blanks{another}; "
                f"prepare.table.whole: true calls it {whole_number(spelled[0])!r}"
            )
