"""The parameters of one `fuse` entry: flat, every further key is an option of its fusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from stages.contract import Scale
from stages.models.catalog import Mistake, Options, Seed, chosen, did_you_mean, mistake, option_mistakes, report_all
from stages.models.fusions.catalog import FUSIONS, count_mistakes
from stages.models.fusions.row import FusionRow


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
    seed : int
        Of a fusion that learns.
    transductive : bool
        Learn from the rows of dev and test too, as some papers did: a leak, which the report tells.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    fusion: str
    features: list[str] = Field(min_length=1)
    scale: Scale = "none"
    seed: Seed = 0
    transductive: bool = False

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Find the mistakes in names and options even where a field is wrong too."""
        return report_all(cls, values, handler, [*_mistakes(values)] if isinstance(values, dict) else [])

    @property
    def row(self) -> FusionRow:
        """The fusion's row of the catalogue."""
        return FUSIONS[self.fusion]

    @property
    def options(self) -> Options:
        """The options of the fusion."""
        return self.row.options(**(self.model_extra or {}))


def _mistakes(values: dict[str, Any]) -> Iterator[Mistake]:
    """Yield what is wrong with the raw values of an entry beyond the type of each field."""
    name, features = values.get("fusion"), values.get("features")
    if not isinstance(name, str):
        return
    if name not in FUSIONS:
        message = f"no fusion {name!r}{did_you_mean(name, FUSIONS)}; see `diptych catalog fusions`"
        yield mistake("fusion", name, message)
        return
    row = FUSIONS[name]
    if not row.vectors:
        able = [each.name for each in FUSIONS.values() if each.vectors]
        message = f"fusion {name!r} learns from labels, so it belongs in the section `train`; here: {able}"
        yield mistake("fusion", name, message)
        return
    if isinstance(features, list) and features:
        for message in count_mistakes(row, len(features)):
            yield mistake("features", features, message)
    known = [*row.options.model_fields, *FuseParams.model_fields]
    for key, value in values.items():
        if key not in known:
            takes = f"fusion {name!r} takes {sorted(row.options.model_fields)}"
            yield mistake(key, value, f"unknown key {key!r}{did_you_mean(key, known)}; {takes}")
    for key in ("seed", "transductive"):
        if values.get(key) and not row.learns:
            yield mistake(key, values[key], f"{key}: fusion {name!r} learns nothing; leave the key out")
    yield from option_mistakes({**chosen(values, row.options)}, row.options)
