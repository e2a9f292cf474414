"""The figures that a paper printed, as data: what `report.published` names, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from store.errors import InputError

NOT_REPORTED = "not reported"
Figure = Annotated[float, Strict(), Field(allow_inf_nan=False)] | Literal["not reported"]


class PublishedMetric(BaseModel):
    """One column of a published table.

    Attributes
    ----------
    meaning : str
        What the paper says of it, and why ours are the ones to compare with.
    measured : tuple of str
        Metrics of `evaluate` or `retrieve` that it is compared with; none where nothing here measures it.
    percent : bool
        Whether the figures are percentages, as printed; shown and compared as shares.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str = Field(min_length=1)
    measured: tuple[str, ...] = ()
    percent: bool = False


class Published(BaseModel):
    """One published table.

    Attributes
    ----------
    paper, table : str
        Where the figures stand.
    metrics : dict of str to PublishedMetric
        By the paper's words.
    systems : dict of str to dict of str to float or "not reported"
        For each system, which is the name of an experiment or a retrieval system, its figures as printed.
    remarks : dict of str to str
        What a reader of a system's figures must know.
    notes : tuple of str
        What a reader of the whole table must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: str = Field(min_length=1)
    table: str = Field(min_length=1)
    metrics: dict[str, PublishedMetric]
    systems: dict[str, dict[str, Figure]] = Field(min_length=1)
    remarks: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _speaks_of_what_it_has(self) -> Self:
        for system, figures in self.systems.items():
            unknown = [name for name in figures if name not in self.metrics]
            if unknown or not figures:
                found = repr(unknown[0]) if unknown else "none"
                raise ValueError(f"systems.{system}: expected metrics among {list(self.metrics)}, found {found}")
        unknown = [name for name in self.remarks if name not in self.systems]
        if unknown:
            raise ValueError(f"remarks: expected systems of the table, found {unknown[0]!r}")
        return self

    def figure(self, system: str, metric: str) -> float | None:
        """Return a figure as a share of 1 where the paper prints percent; None where it has none."""
        value = self.systems.get(system, {}).get(metric, NOT_REPORTED)
        if isinstance(value, str):
            return None
        # Rounded: 44.5 / 100 is not the number nearest to 0.445.
        return round(value / 100, 12) if self.metrics[metric].percent else value


def read_published(content: Mapping[str, Any], name: str) -> Published:
    """Check the content of a file of published figures.

    Raises
    ------
    InputError
        With the first mistake; `name` is the file's.
    """
    try:
        return Published.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise InputError(f"{name}: {where or 'the table'}: {first['msg']}; mend the file") from error
