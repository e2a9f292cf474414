"""The parameters of one experiment: flat, so that `dvc exp run -S train.attention.lr=0.01` reaches every one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from stages.contract import Scale
from stages.models.catalog import Mistake, Seed, did_you_mean, mistake, report_all
from stages.models.fusions.catalog import (
    FUSIONS,
    NATIVE,
    PREFIX,
    ModelSpec,
    count_mistakes,
    dropout_mistakes,
    option_keys,
)
from stages.models.fusions.row import FusionRow
from stages.models.heads.catalog import HEADS, HeadRow, task_refusal
from store.items.records import Task

_PREDICTING = [row.name for row in HEADS.values() if row.tasks]
_HEADS = (*HEADS, NATIVE)
_ROWS: tuple[HeadRow | FusionRow, ...] = (*HEADS.values(), *FUSIONS.values())
_SEE = "see `diptych catalog"


class TrainParams(BaseModel):
    """One row of a table of experiments; every further key is an option of its fusion or its head.

    An option that both have is the head's; `fusion_<option>` gives it to the fusion.

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
        return report_all(cls, values, handler, [*_mistakes(values)] if isinstance(values, dict) else [])

    @property
    def recipe(self) -> ModelSpec:
        """Fusion and head with their options, as the fusions build them."""
        extra = self.model_extra or {}
        fusion, *head = (each.options(**each.chosen(extra)) for each in option_keys(self.fusion, self.head))
        return ModelSpec(self.fusion, self.head, self.scale, fusion, head[0] if head else None)


def _mistakes(values: dict[str, Any]) -> Iterator[Mistake]:
    """Yield what is wrong with the raw values of an experiment beyond the type of each field."""
    fusion, head = values.get("fusion", "none"), values.get("head")
    if isinstance(fusion, str) and fusion not in FUSIONS:
        yield mistake("fusion", fusion, f"no fusion {fusion!r}{did_you_mean(fusion, FUSIONS)}; {_SEE} fusions`")
    if isinstance(head, str) and head not in _HEADS:
        yield mistake("head", head, f"no head {head!r}{did_you_mean(head, _HEADS)}; {_SEE} heads`")
    if isinstance(fusion, str) and isinstance(head, str) and fusion in FUSIONS and head in _HEADS:
        yield from _combination_mistakes(FUSIONS[fusion], head, values)
        yield from _option_mistakes(fusion, head, values)
    else:
        yield from _strangers(values)
    seeds = values.get("seeds")
    if isinstance(seeds, list) and any(seeds.count(each) > 1 for each in seeds):
        yield mistake("seeds", seeds, f"seeds repeat in {seeds}; equal seeds give equal models and no deviation")


def _combination_mistakes(fusion: FusionRow, head: str, values: dict[str, Any]) -> Iterator[Mistake]:
    if fusion.native != (head == NATIVE):
        wanted = "`head: native`, it carries its own classifier" if fusion.native else f"one of {_PREDICTING} as head"
        yield mistake("head", head, f"fusion {fusion.name!r} takes {wanted}; found head {head!r}")
    features, task = values.get("features"), values.get("task")
    if isinstance(features, list) and features:
        for message in count_mistakes(fusion, len(features)):
            yield mistake("features", features, message)
        share = values.get("modality_dropout")
        for message in dropout_mistakes(fusion, len(features), share if isinstance(share, float) else 0.0):
            yield mistake("modality_dropout", share, message)
    if head in HEADS and (refusal := task_refusal(head, task if task in get_args(Task) else None)):
        key = "task" if HEADS[head].tasks else "head"
        yield mistake(key, values[key], refusal)
    if task in ("multilabel", "regression") and values.get("monitor") == "top_5":
        yield mistake("monitor", "top_5", f"monitor: top_5 is for multiclass; with task {task!r} set `monitor: loss`")


def _option_mistakes(fusion: str, head: str, values: dict[str, Any]) -> Iterator[Mistake]:
    """Check every further key against the options of this fusion and this head."""
    options = option_keys(fusion, head)
    known = {key for each in options for key in each.names}
    for name, value in values.items():
        if name not in known and name not in TrainParams.model_fields:
            owners = [row.name for row in _ROWS if name in row.options.model_fields]
            near = (
                f" (an option of {' and '.join(owners)})"
                if owners
                else did_you_mean(str(name), [*known, *TrainParams.model_fields])
            )
            takes = f"fusion {fusion!r} with head {head!r} takes {sorted(known)}"
            yield mistake(name, value, f"unknown key {name!r}{near}; {takes}")
    for each in options:
        yield from each.mistakes(values)


def _strangers(values: dict[str, Any]) -> Iterator[Mistake]:
    """Yield the keys that no experiment has; it may be that `head` is missing because it is one of them."""
    options = {name for row in _ROWS for name in row.options.model_fields}
    for name, value in values.items():
        if name not in TrainParams.model_fields and str(name).removeprefix(PREFIX) not in options:
            yield mistake(name, value, f"unknown key {name!r}{did_you_mean(str(name), TrainParams.model_fields)}")


def option_names(fusion: str, head: str) -> set[str]:
    """Return every key that an experiment with this fusion and head may have."""
    return {key for each in option_keys(fusion, head) for key in each.names} | set(TrainParams.model_fields)
