"""The parameters of one experiment: flat, so that `dvc exp run -S train.attention.lr=0.01` reaches every one."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.contract import Task
from stages.fusions.blocks import Scale
from stages.fusions.catalog import FUSIONS, Recipe
from stages.heads.catalog import HEADS
from stages.heads.options import Options
from stages.nearest import did_you_mean

NATIVE = "native"


class TrainParams(BaseModel):
    """One row of a table of experiments; every further key is an option of its fusion or its head.

    Attributes
    ----------
    features : list of str
        Names of `embed`, `reduce` or `fuse` entries.
    fusion, head : str
        Names of the catalogue; a fusion with its own classifier takes `head: native`.
    task : Task, optional
        Must equal the manifest's task when given.
    seeds : list of int
        One training per seed; metrics give mean and deviation.
    scale : {"none", "standard", "l2"}
        Scaling of each input before the fusion; `standard` is fitted on train.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    features: list[str] = Field(min_length=1)
    fusion: str = "none"
    head: str
    task: Task | None = None
    seeds: list[int] = Field(default=[0], min_length=1)
    scale: Scale = "standard"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = _name_problems(self) or [*_combination_problems(self), *_option_problems(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def recipe(self) -> Recipe:
        """Fusion and head with their options, as the fusions build them."""
        fusion, head = _option_types(self)
        extra = self.model_extra or {}
        fusion_options = fusion(**{name: value for name, value in extra.items() if name in fusion.model_fields})
        head_options = head(**{k: v for k, v in extra.items() if k in head.model_fields}) if head else None
        return Recipe(self.fusion, self.head, self.scale, fusion_options, head_options)


def _option_types(params: TrainParams) -> tuple[type[Options], type[Options] | None]:
    head = None if params.head == NATIVE else HEADS[params.head].options
    return FUSIONS[params.fusion].options, head


def _name_problems(params: TrainParams) -> list[str]:
    problems = []
    if params.fusion not in FUSIONS:
        near = did_you_mean(params.fusion, FUSIONS)
        problems.append(f"no fusion {params.fusion!r}{near}; see `diptych catalog fusions`")
    if params.head not in {*HEADS, NATIVE}:
        problems.append(f"no head {params.head!r}{did_you_mean(params.head, HEADS)}; see `diptych catalog heads`")
    return problems


def _combination_problems(params: TrainParams) -> list[str]:
    row, problems = FUSIONS[params.fusion], []
    if row.native != (params.head == NATIVE):
        wanted = "`head: native`, it carries its own classifier" if row.native else f"one of {list(HEADS)} as head"
        problems.append(f"fusion {row.name!r} takes {wanted}; found head {params.head!r}")
    if row.name == "none" and len(params.features) != 1:
        problems.append(f"fusion 'none' takes exactly one of `features`; found {len(params.features)}; use concat")
    if len(params.features) < row.fewest:
        problems.append(f"fusion {row.name!r} joins at least {row.fewest} features; found {len(params.features)}")
    if params.task and params.head != NATIVE and params.task not in HEADS[params.head].tasks:
        problems.append(f"head {params.head!r} does {list(HEADS[params.head].tasks)}; found task {params.task!r}")
    if len(set(params.seeds)) != len(params.seeds):
        problems.append(f"seeds repeat in {params.seeds}; equal seeds give equal models and no deviation")
    return problems


def _option_problems(params: TrainParams) -> list[str]:
    """Check every further key against the options of this fusion and this head."""
    fusion, head = _option_types(params)
    extra: dict[str, Any] = params.model_extra or {}
    known = {**fusion.model_fields, **(head.model_fields if head else {})}
    fields = [*known, *TrainParams.model_fields]
    problems = [
        f"unknown key {name!r}{did_you_mean(name, fields)}; fusion {params.fusion!r} with head {params.head!r} "
        f"takes {sorted(known)}"
        for name in extra
        if name not in known
    ]
    for options in filter(None, (fusion, head)):
        try:
            options(**{name: value for name, value in extra.items() if name in options.model_fields})
        except ValidationError as error:
            problems += [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return problems
