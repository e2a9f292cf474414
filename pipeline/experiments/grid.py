"""A grid of experiments: features x fusion x head x options, read from YAML and expanded into single experiments."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.params.yaml_file import read_yaml
from stages.models.catalog import did_you_mean
from stages.models.fusions.catalog import FUSIONS, NATIVE
from stages.models.heads.catalog import HEADS
from stages.train.params import TrainParams, option_names
from store.errors import InputError


class Grid(BaseModel):
    """What a sweep tries.

    Attributes
    ----------
    features : list of list of str
        Sets of features, each as an experiment of params.yaml names them.
    fusion, head : list of str
        Names of the catalogues. A fusion with its own classifier takes that one, whatever heads are listed.
    base : mapping
        Options of all experiments; one that an experiment's fusion and head do not have is left out there.
    vary : mapping of str to list
        Further axes: each option takes each of its values, where the fusion or the head has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: list[list[str]] = Field(min_length=1)
    fusion: list[str] = Field(default=["none"], min_length=1)
    head: list[str] = Field(default=[NATIVE], min_length=1)
    base: dict[str, Any] = Field(default_factory=dict)
    vary: dict[str, list[Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One cell of a grid: the experiment as params.yaml would hold it, or why it cannot be one."""

    content: Mapping[str, Any]
    params: TrainParams | None
    refused: str = ""

    @property
    def label(self) -> str:
        """Say in a few words what is tried."""
        known = ("features", "fusion", "head")
        options = ", ".join(f"{key} {value}" for key, value in self.content.items() if key not in known)
        what = f"{self.content['fusion']} + {self.content['head']} on {' + '.join(self.content['features'])}"
        return f"{what} ({options})" if options else what


def read_grid(path: Path) -> Grid:
    """Read a grid.

    Raises
    ------
    InputError
        When the file is no grid, or names a fusion, a head or an option that does not exist.
    """
    content = read_yaml(path)
    try:
        grid = Grid.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors())
        raise InputError(
            f"{path}: expected the keys {sorted(Grid.model_fields)}; found: {found}; see `diptych sweep --help`."
        ) from None
    for kind, names, known in (("fusion", grid.fusion, [*FUSIONS]), ("head", grid.head, [*HEADS, NATIVE])):
        for name in names:
            if name not in known:
                raise InputError(
                    f"{path}: no {kind} {name!r}{did_you_mean(name, known)}; see `diptych catalog {kind}s`."
                )
    _refuse_unused(grid, path)
    return grid


def _refuse_unused(grid: Grid, path: Path) -> None:
    """Refuse an option that no cell has: it is a typing mistake, and the table would not tell."""
    known = {name for fusion, head in _pairs(grid) for name in option_names(fusion, head)}
    known -= {"features", "fusion", "head"}
    for name in (*grid.base, *grid.vary):
        if name not in known:
            near = did_you_mean(name, known)
            raise InputError(f"{path}: no fusion or head of this grid has the option {name!r}{near}; correct it.")


def _pairs(grid: Grid) -> Iterator[tuple[str, str]]:
    for fusion in dict.fromkeys(grid.fusion):
        if FUSIONS[fusion].native:
            yield fusion, NATIVE
        else:
            yield from ((fusion, head) for head in dict.fromkeys(grid.head) if head != NATIVE)


def expand(grid: Grid) -> list[Trial]:
    """Return the cells of a grid in the order in which it lists them, each once."""
    trials: dict[str, Trial] = {}
    for features in grid.features:
        for fusion, head in _pairs(grid):
            known = option_names(fusion, head)
            base = {name: value for name, value in grid.base.items() if name in known}
            axes = {name: values for name, values in grid.vary.items() if name in known}
            for values in itertools.product(*axes.values()):
                options = {**base, **dict(zip(axes, values, strict=True))}
                content = {"features": features, "fusion": fusion, "head": head, **options}
                trials.setdefault(json.dumps(content, sort_keys=True), _trial(content))
    return [*trials.values()]


def _trial(content: Mapping[str, Any]) -> Trial:
    try:
        return Trial(content, TrainParams.model_validate_json(json.dumps(content), strict=True))
    except ValidationError as error:
        return Trial(content, None, "; ".join(_reason(each) for each in error.errors()))


def _reason(error: Any) -> str:
    said = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    where = ".".join(map(str, error["loc"]))
    return said if error["type"] == "value_error" else f"{where}: {said}"
