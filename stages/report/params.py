"""What the report is asked for: the section `report` of `params.yaml`, checked here and used by `run`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator

_PUBLISHED = PurePosixPath("recipes/published")


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
    published : str or None
        `recipes/published/<name>.yaml`, the figures of a paper to be shown beside those of this run; DVC watches that
        folder alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(default="Diptych report", min_length=1)
    primary: str | None = None
    examples: int = Field(default=12, ge=0, le=200)
    seed: int = Field(default=0, ge=0)
    published: str | None = None

    @field_validator("published")
    @classmethod
    def _in_its_folder(cls, name: str | None) -> str | None:
        path = PurePosixPath(name or "")
        if name is not None and not (path.parent == _PUBLISHED and re.fullmatch(r"[\w-]+\.yaml", path.name)):
            raise ValueError(
                f"expected {_PUBLISHED}/<name>.yaml, which DVC watches, found {name!r}; put the file there"
            )
        return name
