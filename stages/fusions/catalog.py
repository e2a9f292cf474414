"""The catalogue of fusions as data rows, and the one way to build what `train` fits: fusion and head together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from stages.errors import RunError
from stages.fusions.blocks import BlockScaler, ConcatFusion, Scale
from stages.heads.catalog import HEADS, build_head
from stages.heads.model import Array, Epoch, Model, Problem, Rows, Scores
from stages.heads.options import MlpOptions, Options, Width
from stages.heads.single_class import SingleClassGuard


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


class FusedModel:
    """Scaling, fusion and head as one `Model` over joined features [n, sum + M].

    Parameters
    ----------
    widths : sequence of int
        Widths D_m of the feature inputs.
    recipe : Recipe
        Fusion, head and their options.
    problem : Problem
        Task, outputs, seed, device.
    """

    def __init__(self, widths: Sequence[int], recipe: Recipe, problem: Problem) -> None:
        self.scaler = BlockScaler(tuple(widths), recipe.scale)
        self.model = _behind_scaling(tuple(widths), recipe, problem)
        # The head of `none` and `concat` sees plain vectors; the others need to know which inputs are there.
        self.join = ConcatFusion(tuple(widths)) if FUSIONS[recipe.fusion].vectors else None
        self.history: list[Epoch] = []

    def fit(self, train: Rows, dev: Rows) -> Self:
        """Fit scaling on train, then the model; dev serves early stopping and late weights only."""
        self.scaler.fit(train.x)
        self.model.fit(Rows(self._input(train.x), train.y), Rows(self._input(dev.x), dev.y))
        self.history = list(self.model.history)
        return self

    def scores(self, x: Array) -> Scores:
        """Return the scores [n, K]."""
        return self.model.scores(self._input(x))

    def _input(self, x: Array) -> Array:
        scaled: Array = self.scaler.transform(x)
        return scaled if self.join is None else self.join.transform(scaled)

    def save(self, folder: Path) -> None:
        """Write scaling and model into an existing folder."""
        self.scaler.save(folder)
        self.model.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model of the same recipe."""
        self.scaler.restore(folder)
        self.model.restore(folder)
        return self


def _behind_scaling(widths: tuple[int, ...], recipe: Recipe, problem: Problem) -> Model:
    fusion, head = recipe.fusion_options, recipe.head_options
    if isinstance(fusion, AttentionOptions):
        return SingleClassGuard(_attention(widths, fusion, problem), problem)
    if head is None or recipe.head not in HEADS:
        raise RunError(f"fusion {recipe.fusion!r}: expected a head of the catalogue; found {recipe.head!r}.")
    if isinstance(fusion, LateOptions):
        from stages.fusions.late import LateModel

        heads = [build_head(recipe.head, width, head, problem) for width in widths]
        return LateModel(widths, heads, problem.task, fusion.weights)
    return build_head(recipe.head, sum(widths), head, problem)


def _attention(widths: tuple[int, ...], options: AttentionOptions, problem: Problem) -> Model:
    from stages.fusions.attention import AttentionFusion  # torch
    from stages.heads.network import NetworkModel

    arguments = {
        "widths": list(widths),
        "outputs": problem.outputs,
        "width": options.width,
        "hidden": list(options.hidden),
        "dropout": options.dropout,
        "qk": options.qk,
    }
    return NetworkModel(AttentionFusion, arguments, options, problem)
