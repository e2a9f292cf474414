"""What the report is asked for: the section `report` of `params.yaml`, checked here and used by `run`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ReportParams(BaseModel):
    """The parameters of the report.

    Attributes
    ----------
    title : str
        Heading of the page.
    primary : str or None
        The metric that orders the leaderboard; None takes f1_macro, and mse for a regression.
    examples : int
        How many test items the page shows, half from the best predicted and half from the worst.
    seed : int
        Chooses among equally good examples and among retrieval queries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(default="Diptych report", min_length=1)
    primary: str | None = None
    examples: int = Field(default=12, ge=0, le=200)
    seed: int = Field(default=0, ge=0)
