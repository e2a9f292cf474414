"""Scaling, fusion and head as one model: what `train` fits, saves and asks for scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from stages.errors import RunError
from stages.fusions.blocks import BlockScaler, ConcatFusion
from stages.fusions.catalog import FUSIONS, AttentionOptions, LateOptions, Recipe
from stages.fusions.target import TargetScale
from stages.heads.catalog import HEADS, build_head
from stages.heads.model import Array, Epoch, Model, Problem, Rows, Scores
from stages.heads.single_class import SingleClassGuard


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
        self.target = TargetScale() if problem.task == "regression" else None
        self.history: list[Epoch] = []

    def fit(self, train: Rows, dev: Rows) -> Self:
        """Fit scaling on train, then the model; dev serves early stopping and late weights only."""
        self.scaler.fit(train.x)
        if self.target is not None:
            self.target.fit(train)
            train, dev = self.target.scaled(train), self.target.scaled(dev)
        self.model.fit(Rows(self._input(train.x), train.y), Rows(self._input(dev.x), dev.y))
        self.history = list(self.model.history)
        return self

    def scores(self, x: Array) -> Scores:
        """Return the scores [n, K]."""
        scores = self.model.scores(self._input(x))
        return scores if self.target is None else self.target.unscaled(scores)

    def _input(self, x: Array) -> Array:
        scaled: Array = self.scaler.transform(x)
        return scaled if self.join is None else self.join.transform(scaled)

    def save(self, folder: Path) -> None:
        """Write scaling and model into an existing folder."""
        self.scaler.save(folder)
        self.model.save(folder)
        if self.target is not None:
            self.target.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model of the same recipe."""
        self.scaler.restore(folder)
        self.model.restore(folder)
        if self.target is not None:
            self.target.restore(folder)
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
