"""Scaling, fusion and head as one model: what `train` fits, saves and asks for scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from stages.models.features.layout import FUSED, Layer, Layout, as_layout, layout_columns, split_inputs
from stages.models.features.scaling import BlockScaler, TargetScale
from stages.models.features.table import DroppingTable, FeatureTable, MappedTable
from stages.models.fusions.catalog import FUSIONS, ModelSpec, dropout_mistakes
from stages.models.fusions.side_by_side import ConcatFusion
from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.model import Array, Features, LabelledRows, Model, Problem, Scores, Transparent, blocks_of
from stages.models.heads.single_class import SingleClassGuard
from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from store.errors import InputError, RunError

_JOIN = "fusion"


class VectorFusion(Protocol):
    """A fusion that gives vectors without labels; its class is a scikit-learn transformer."""

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:
        """Learn from joined features [n, columns] of train rows."""

    def transform(self, x: Array) -> Array:
        """Return float32 [n, D] of joined features [n, columns]; rows do not influence each other."""

    def save(self, folder: Path) -> None:
        """Write what was learned into an existing folder."""

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a fusion built the same way."""


class FusedModel:
    """Scaling, fusion and head as one `Model` over joined features [n, columns].

    Parameters
    ----------
    layout : Layout or sequence of int
        The feature inputs; plain widths for inputs that are vectors alone.
    recipe : ModelSpec
        Fusion, head and their options.
    problem : Problem
        Task, outputs, seed, device.

    Raises
    ------
    InputError
        When inputs shall be dropped in training where there is nothing to drop.
    """

    def __init__(self, layout: Sequence[Any], recipe: ModelSpec, problem: Problem) -> None:
        self.layout = as_layout(layout)
        for message in dropout_mistakes(FUSIONS[recipe.fusion], len(self.layout), recipe.modality_dropout):
            raise InputError(f"train: {message}.")
        self.recipe, self.problem = recipe, problem
        self.scaler = BlockScaler(self.layout, recipe.scale)
        row = FUSIONS[recipe.fusion]
        # The head of these sees plain vectors; the others need to know which inputs are there.
        self.join: VectorFusion | None = row.build(self.layout, recipe.fusion_options, problem) if row.vectors else None
        self._learns = row.learns
        self.model: Model | None = None if row.vectors else _with_scores(self.layout, recipe, problem)
        self.target = TargetScale() if problem.task == "regression" else None
        self.history: list[Epoch] = []

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Fit scaling and fusion on train, then the model; dev serves early stopping and late weights only."""
        self.scaler.fit(train.x)
        if self.target is not None:
            self.target.fit(train)
            train, dev = self.target.scaled(train), self.target.scaled(dev)
        scaled = [MappedTable(rows.x, self.scaler.scaled, rows.x.shape[1]) for rows in (train, dev)]
        inputs: list[Features] = [self._dropping(scaled[0], train.x), scaled[1]]
        if self.join is not None:
            self.join.fit(scaled[0], watch=watch.part("fusion") if self._learns else watch)
            inputs = [self._joined(each) for each in inputs]
        self.model = self.model or _head(inputs[0].shape[1], self.recipe, self.problem)
        self.model.fit(LabelledRows(inputs[0], train.y), LabelledRows(inputs[1], dev.y), watch)
        self.history = list(self.model.history)
        return self

    def _dropping(self, scaled: MappedTable, given: Features) -> Features:
        """Return the train rows, which lose inputs in training where the options ask for it."""
        share = self.recipe.modality_dropout
        if not share:
            return scaled
        missing = given.missing if isinstance(given, FeatureTable) else np.zeros(given.shape[1], dtype=np.float32)
        return DroppingTable(scaled, self.layout, self.scaler.transform(missing[None, :])[0], share)

    def _joined(self, table: Features) -> Features:
        """Return the fused vectors, once and for all where they are dear to compute and the same in every epoch."""
        join = self.join
        if join is None:
            raise RunError(f"fusion {self.recipe.fusion!r}: expected one that gives vectors; found another.")
        width = join.transform(np.zeros((1, layout_columns(self.layout)), dtype=np.float32)).shape[1]
        if not self._learns or isinstance(table, DroppingTable):
            return MappedTable(table, join.joined if isinstance(join, ConcatFusion) else join.transform, width)
        parts = [join.transform(block) for block in blocks_of(table)]
        return np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)

    def scores(self, x: Array) -> Scores:
        """Return the scores [n, K]."""
        if self.model is None:
            raise RunError("train: expected a fitted model; found none; fit or restore it first.")
        scaled: Array = self.scaler.transform(x)
        scores = self.model.scores(scaled if self.join is None else self.join.transform(scaled))
        return scores if self.target is None else self.target.unscaled(scores)

    def weights(self, x: Array) -> Array | None:
        """Return how much the fusion counts each input of rows [n, columns]; None where it weighs no inputs.

        Inputs are weighed where one number per row and input says how much of its vector, or of its scores, goes into
        the sum: by `attention` (alpha) and `late` (its weights). Weights over words, regions or iterations (`cim`,
        `coot`, `sapool`, `joint`) are not shares of inputs, and no more are the gates of `gated` and `gated2d`, which
        say of each feature of the picture how much passes. The others put vectors side by side.

        Returns
        -------
        ndarray of float32, [n, M], or None
            Rows sum to 1; an absent input weighs 0. A row without any input is read as if it had them all.
        """
        if self.join is not None or not isinstance(self.model, Transparent):
            return None
        return self.model.input_weights(self.scaler.transform(x))

    def layers(self, x: Array) -> dict[Layer, Array]:
        """Return the vectors, float32 [n, width], of rows [n, columns], n > 0, at each layer of the model.

        Every input has its raw vector; it has a tuned one where the fusion has a layer for it alone (`attention`,
        `towers`, and the visual-semantic ones). Fused vectors are what the classifier reads, which `late` has not, nor
        `none`: they would be the raw ones.
        """
        raw = {Layer("raw", number): part.vector for number, part in enumerate(split_inputs(x, self.layout))}
        scaled = self.scaler.transform(x)
        if self.join is not None:
            return raw if self.recipe.fusion == "none" else {**raw, FUSED: self.join.transform(scaled)}
        return {**raw, **(self.model.inner_vectors(scaled) if isinstance(self.model, Transparent) else {})}

    def save(self, folder: Path) -> None:
        """Write scaling, fusion and model into an existing folder."""
        if self.model is None:
            raise RunError("train: expected a fitted model to save; found none; fit it first.")
        self.scaler.save(folder)
        self.model.save(folder)
        if self.join is not None and self._learns:
            (folder / _JOIN).mkdir()
            self.join.save(folder / _JOIN)
        if self.target is not None:
            self.target.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model of the same recipe."""
        self.scaler.restore(folder)
        if self.join is not None:
            self.join.restore(folder / _JOIN)
            empty = np.zeros((1, layout_columns(self.layout)), dtype=np.float32)
            self.model = _head(self.join.transform(empty).shape[1], self.recipe, self.problem)
        if self.model is not None:
            self.model.restore(folder)
        if self.target is not None:
            self.target.restore(folder)
        return self


def _head(width: int, recipe: ModelSpec, problem: Problem) -> Model:
    if recipe.head_options is None or recipe.head not in HEADS:
        raise RunError(f"fusion {recipe.fusion!r}: expected a head of the catalogue; found {recipe.head!r}.")
    return build_head(recipe.head, width, recipe.head_options, problem)


def _with_scores(layout: Layout, recipe: ModelSpec, problem: Problem) -> Model:
    """Return the model behind a fusion that gives scores itself."""
    row, options = FUSIONS[recipe.fusion], recipe.fusion_options
    if row.native:
        return SingleClassGuard(row.build(layout, options, problem), problem)
    heads = [_head(block.width, recipe, problem) for block in layout]
    late: Model = row.build(layout, options, problem)(layout, heads, problem.task, **options.model_dump())
    return late
