"""The catalogue of fusions as data rows, light enough to be read with params.yaml; `model` builds what they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from stages.contract import Scale
from stages.heads.options import MlpOptions, Options, Width


class AttentionOptions(MlpOptions):
    """Sizes of systems.md 4.4: d = 256, then three hidden layers."""

    hidden: tuple[Width, ...] = (512, 256, 128)
    width: int = Field(default=256, ge=1)
    qk: bool = False


class LateOptions(Options):
    """How the modalities' scores are weighted."""

    weights: Literal["dev", "uniform"] = "dev"


class NoOptions(Options):
    """Nothing to choose."""


@dataclass(frozen=True)
class FusionRow:
    """One fusion.

    Attributes
    ----------
    vectors : bool
        Whether it can be a `fuse` entry: it gives vectors without labels.
    native : bool
        Whether it carries its own classifier (`head: native` in `train`).
    fewest : int
        Number of feature inputs it needs at least; `none` takes exactly one.
    """

    name: str
    vectors: bool
    native: bool
    fewest: int
    options: type[Options]
    source: str


FUSIONS: dict[str, FusionRow] = {
    row.name: row
    for row in (
        FusionRow("none", vectors=True, native=False, fewest=1, options=NoOptions, source="systems.md 4.1"),
        FusionRow("concat", vectors=True, native=False, fewest=1, options=NoOptions, source="systems.md 4.2"),
        FusionRow("attention", vectors=False, native=True, fewest=2, options=AttentionOptions, source="systems.md 4.4"),
        FusionRow("late", vectors=False, native=False, fewest=2, options=LateOptions, source="systems.md 4.6"),
    )
}


def count_problems(row: FusionRow, features: int) -> list[str]:
    """Say what is wrong with giving this many feature inputs to a fusion; nothing when they fit."""
    if row.name == "none" and features != 1:
        return [f"fusion 'none' takes exactly one of `features`; found {features}; use concat"]
    if features < row.fewest:
        return [f"fusion {row.name!r} joins at least {row.fewest} features; found {features}"]
    return []


@dataclass(frozen=True)
class Recipe:
    """What one experiment is made of, without data: names, options, scaling."""

    fusion: str
    head: str
    scale: Scale
    fusion_options: Options
    head_options: Options | None
