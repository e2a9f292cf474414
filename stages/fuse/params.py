"""The parameters of one `fuse` entry."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stages.contract import Scale
from stages.fusions.catalog import FUSIONS, count_problems
from stages.nearest import did_you_mean


class FuseParams(BaseModel):
    """A fusion that gives vectors without labels.

    Attributes
    ----------
    fusion : str
        A fusion of the catalogue that gives vectors (`diptych catalog fusions`).
    features : list of str
        Names of `embed` or `reduce` entries, in the order in which their blocks are joined.
    scale : {"none", "standard", "l2"}
        Scaling of each block; `standard` is fitted on the train rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: str
    features: list[str] = Field(min_length=1)
    scale: Scale = "none"

    @field_validator("fusion")
    @classmethod
    def _gives_vectors(cls, name: str) -> str:
        if name not in FUSIONS:
            raise ValueError(f"no fusion {name!r}{did_you_mean(name, FUSIONS)}; see `diptych catalog fusions`")
        if not FUSIONS[name].vectors:
            able = [row.name for row in FUSIONS.values() if row.vectors]
            raise ValueError(f"fusion {name!r} learns from labels, so it belongs in the section `train`; here: {able}")
        return name

    @model_validator(mode="after")
    def _enough_features(self) -> Self:
        problems = count_problems(FUSIONS[self.fusion], len(self.features))
        if problems:
            raise ValueError("; ".join(problems))
        return self
