"""How far a trained experiment falls when inputs are missing; docs/systems/evaluation.md#missing-inputs.

It restores models, and so imports torch or scikit-learn: `run` imports it only where the test is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.evaluate.metrics import Scores
from stages.evaluate.params import EvaluateParams, MissingParams
from stages.evaluate.scoring import Scored, evaluate
from stages.evaluate.trained.missing import (
    WHOLE,
    Condition,
    Outcome,
    Robustness,
    TrainedInputs,
    conditions_of,
    drawn_classes,
    metric_names,
    scopes_of,
)
from stages.evaluate.trained.restored import refuse_other_model, refuse_other_scores
from stages.models.encoders.running.engines import resolve_device
from stages.models.experiment import ExperimentInputs, read_data, read_trained, restore
from stages.models.features.layout import Layout
from stages.models.fusions.model import FusedModel
from stages.models.heads.model import Array, Features, blocks_of
from store.errors import RunError


class ThinnedTable:
    """A table of joined features whose rows lack some inputs, exactly as those that never had them.

    Parameters
    ----------
    table : Features
        Joined features [n, columns].
    layout : Layout
    missing : ndarray, [columns]
        A row without any input.
    removed : sequence of bool
        Which inputs are taken away.
    """

    def __init__(self, table: Features, layout: Layout, missing: Array, removed: Sequence[bool]) -> None:
        self.table, self.missing = table, missing
        self.shape = table.shape
        self._columns = _columns(layout, removed)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Array:
        x = self.table[rows]
        for columns in self._columns:
            x[:, columns] = self.missing[columns]
        return x


def _columns(layout: Layout, removed: Sequence[bool]) -> list[slice]:
    """Return where the removed inputs and their presence stand."""
    found, start = [], 0
    for number, (block, gone) in enumerate(zip(layout, removed, strict=True)):
        stop = start + block.columns
        presence = number + sum(each.columns for each in layout)
        found += [slice(start, stop), slice(presence, presence + 1)] if gone else []
        start = stop
    return found


class RobustnessTest:
    """The test of one experiment.

    Parameters
    ----------
    params : EvaluateParams
        How scores become decisions: the same as for the predictions.
    missing : MissingParams
    trained : TrainedInputs
    inputs : ExperimentInputs
    scored : Scored
    """

    def __init__(
        self,
        params: EvaluateParams,
        missing: MissingParams,
        trained: TrainedInputs,
        inputs: ExperimentInputs,
        scored: Scored,
    ) -> None:
        self.trained, self.inputs, self.scored = trained, inputs, scored
        self._params = params
        self._names = metric_names(scored.truth.task, params.top_k)
        self._scopes = scopes_of(scored.truth, missing)
        self._classes = drawn_classes(scored.truth, missing)

    def run(self, device: str, progress: Progress) -> Robustness:
        """Score the part again without each field, by the models of the predictions.

        Raises
        ------
        InputError
            When a model or a matrix is not there.
        RunError
            When the models do not give the scores of the predictions, and so are of another run.
        """
        drawn = {"missing_classes": ", ".join(self._classes)} if self._classes else {}
        if self.trained.fused:
            refused = (
                f"not possible: {', '.join(self.trained.fused)} of `fuse` holds several fields in one vector; give the "
                "experiment the entries of embed or reduce that it joins"
            )
            full = [self._metrics(seed, scores) for seed, scores in self.scored.scores.items()]
            outcomes = tuple(self._outcomes({"full": full}))
            return Robustness(outcomes, refused, facts={"missing": refused, **drawn})
        conditions = conditions_of(self.trained.fields)
        outcomes = tuple(self._outcomes(self._score_all(conditions, resolve_device(device), progress)))
        keys = {each.name: each.key for each in conditions[1:]}
        facts = {"missing": ", ".join(keys.values()), **drawn}
        return Robustness(outcomes, "", dict(_lost(outcomes, keys)), facts)

    def _score_all(
        self, conditions: Sequence[Condition], device: str, progress: Progress
    ) -> dict[str, list[list[list[float]]]]:
        """Return for each condition, seed and scope the metrics; no scores are kept, which may be gigabytes."""
        about = read_trained(self.trained.model)
        data = read_data(self.inputs, about.recipe.fusion)
        refuse_other_model(self.trained, self.scored.scores, about, data)
        part = np.flatnonzero(data.parts == self.scored.truth.part)
        table, kept = data.features(part), data.labelled[part]
        found: dict[str, list[list[list[float]]]] = {each.name: [] for each in conditions}
        total = len(about.seeds) * len(conditions)
        with progress.track(f"missing {self.trained.model.name}", total) as bar:
            for seed in self.scored.scores:
                model = restore(about.recipe, data, seed, self.trained.model, device)
                for condition in conditions:
                    thinned = ThinnedTable(table, data.layout, table.missing, condition.removed)
                    scores = _scores(model, thinned)[kept]
                    if not any(condition.removed):
                        where = f"{self.trained.model}, seed {seed}"
                        refuse_other_scores(where, self.scored.scores[seed], [scores])
                    found[condition.name].append(self._metrics(seed, scores))
                    bar.advance()
        return found

    def _metrics(self, seed: int, scores: Scores) -> list[list[float]]:
        """Return the metrics of the labelled rows' scores [n, K], scope by scope."""
        threshold = self.scored.thresholds[seed]
        each = (evaluate(self._params, threshold, scores[one.rows], one.truth).metrics for one in self._scopes)
        return [[metrics[name] for name in self._names] for metrics in each]

    def _outcomes(self, found: Mapping[str, list[list[list[float]]]]) -> Iterator[Outcome]:
        """Yield the means over the seeds, condition by condition and scope by scope."""
        means = {name: np.mean(values, axis=0) for name, values in found.items()}  # [scopes, metrics]
        for name, values in means.items():
            for scope, here, full in zip(self._scopes, values, means["full"], strict=True):
                yield Outcome(name, scope.name, len(scope.rows), self._named(here), self._named(here - full))

    def _named(self, values: NDArray[np.float64]) -> dict[str, float]:
        # Plus zero, so that no zero is written with a minus sign.
        return {name: round(float(value), 6) + 0.0 for name, value in zip(self._names, values, strict=True)}


def _scores(model: FusedModel, table: ThinnedTable) -> Scores:
    """Score all rows in the blocks in which `train` scored them, so that nothing is rounded otherwise."""
    scores = np.concatenate([model.scores(block) for block in blocks_of(table)])
    if not np.isfinite(scores).all():
        raise RunError(
            "evaluate: expected finite scores of rows without some inputs; found NaN or infinity; train with "
            "`modality_dropout`, so that the model has seen such rows, or set `evaluate.missing: null`."
        )
    return scores


def _lost(outcomes: Sequence[Outcome], keys: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield the differences on the whole part, each with a name."""
    for each in outcomes:
        if each.scope == WHOLE and each.condition in keys:
            for name, value in each.deltas.items():
                yield f"{keys[each.condition]}_{name}_delta", value
