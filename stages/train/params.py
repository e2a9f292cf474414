"""The parameters of one experiment: flat, so that `dvc exp run -S train.attention.lr=0.01` reaches every one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from stages.contract import Scale, Task
from stages.fusions.catalog import FUSIONS, FusionRow, Recipe, count_problems
from stages.heads.catalog import HEADS, HeadRow
from stages.heads.options import Options
from stages.nearest import did_you_mean

NATIVE = "native"
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy, torch and scikit-learn all take
Problem = Mapping[str, Any]
_HEADS = (*HEADS, NATIVE)
_ROWS: tuple[HeadRow | FusionRow, ...] = (*HEADS.values(), *FUSIONS.values())
_SEE = "see `diptych catalog"


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
    seeds: list[Seed] = Field(default=[0], min_length=1)
    scale: Scale = "none"

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Find the mistakes in names, combinations and options even where a field is wrong too."""
        problems = [*_problems(values)] if isinstance(values, dict) else []
        try:
            params = handler(values)
        except ValidationError as error:
            raise _merged([*error.errors(), *problems]) from None
        if problems:
            raise _merged(problems)
        return params

    @property
    def recipe(self) -> Recipe:
        """Fusion and head with their options, as the fusions build them."""
        fusion, head = _option_types(self.fusion, self.head)
        extra = self.model_extra or {}
        head_options = head(**_chosen(extra, head)) if head else None
        return Recipe(self.fusion, self.head, self.scale, fusion(**_chosen(extra, fusion)), head_options)


def _problems(values: dict[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the raw values of an experiment beyond the type of each field."""
    fusion, head = values.get("fusion", "none"), values.get("head")
    if isinstance(fusion, str) and fusion not in FUSIONS:
        yield _problem("fusion", fusion, f"no fusion {fusion!r}{did_you_mean(fusion, FUSIONS)}; {_SEE} fusions`")
    if isinstance(head, str) and head not in _HEADS:
        yield _problem("head", head, f"no head {head!r}{did_you_mean(head, _HEADS)}; {_SEE} heads`")
    if isinstance(fusion, str) and isinstance(head, str) and fusion in FUSIONS and head in _HEADS:
        yield from _combination_problems(FUSIONS[fusion], head, values)
        yield from _option_problems(fusion, head, values)
    seeds = values.get("seeds")
    if isinstance(seeds, list) and any(seeds.count(each) > 1 for each in seeds):
        yield _problem("seeds", seeds, f"seeds repeat in {seeds}; equal seeds give equal models and no deviation")


def _combination_problems(fusion: FusionRow, head: str, values: dict[str, Any]) -> Iterator[Problem]:
    if fusion.native != (head == NATIVE):
        wanted = "`head: native`, it carries its own classifier" if fusion.native else f"one of {list(HEADS)} as head"
        yield _problem("head", head, f"fusion {fusion.name!r} takes {wanted}; found head {head!r}")
    features, task = values.get("features"), values.get("task")
    if isinstance(features, list) and features:
        for message in count_problems(fusion, len(features)):
            yield _problem("features", features, message)
    if task in get_args(Task) and head in HEADS and task not in HEADS[head].tasks:
        yield _problem("task", task, f"head {head!r} does {list(HEADS[head].tasks)}; found task {task!r}")


def _option_problems(fusion: str, head: str, values: dict[str, Any]) -> Iterator[Problem]:
    """Check every further key against the options of this fusion and this head."""
    types = [each for each in _option_types(fusion, head) if each]
    known = {name for each in types for name in each.model_fields}
    for name, value in values.items():
        if name not in known and name not in TrainParams.model_fields:
            owners = [row.name for row in _ROWS if name in row.options.model_fields]
            near = (
                f" (an option of {' and '.join(owners)})"
                if owners
                else did_you_mean(str(name), [*known, *TrainParams.model_fields])
            )
            takes = f"fusion {fusion!r} with head {head!r} takes {sorted(known)}"
            yield _problem(name, value, f"unknown key {name!r}{near}; {takes}")
    for options in types:
        try:
            options.model_validate_json(json.dumps(_chosen(values, options), default=str), strict=True)
        except ValidationError as error:
            yield from error.errors()


def _option_types(fusion: str, head: str) -> tuple[type[Options], type[Options] | None]:
    return FUSIONS[fusion].options, None if head == NATIVE else HEADS[head].options


def _chosen(values: dict[str, Any], options: type[Options]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in options.model_fields}


def _problem(key: str, value: Any, message: str) -> InitErrorDetails:
    error = PydanticCustomError("value_error", "{error}", {"error": message})
    return InitErrorDetails(type=error, loc=(key,), input=value)


def _merged(problems: Sequence[Problem]) -> ValidationError:
    kept = ("type", "loc", "input", "ctx")
    lines = [cast("InitErrorDetails", {name: each[name] for name in kept if name in each}) for each in problems]
    return ValidationError.from_exception_data("TrainParams", lines)
