"""What a section of the page is; `stages.report.run` lists all of them in their order."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from stages.report.inputs import ReportOutputs
from stages.report.read.finished import FinishedRun


class Section(Protocol):
    """One section of the page: what it reads, whether it has something to say, and what it draws.

    An instance is what the template `<name>.html.j2` shows: there it is called `section`.

    Attributes
    ----------
    name : str
        Its place on the page, and its template.
    title : str
        In the list of sections at the top.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    @classmethod
    def read(cls, run: FinishedRun) -> Section | None:
        """Read and draw what it shows; None where the run left nothing for it to say.

        Raises
        ------
        InputError
            When a file is not what its stage writes.
        """
        ...


@runtime_checkable
class WritesBeside(Protocol):
    """A section that leaves a file of its own beside the page, too."""

    def write(self, outputs: ReportOutputs) -> None:
        """Write it."""
        ...
