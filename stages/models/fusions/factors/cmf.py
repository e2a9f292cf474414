"""Collective matrix factorisation (`cmf`) by alternating least squares, in numpy; docs/systems/fusions.md#cmf."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from stages.contract import Tracker
from stages.models.features.table import input_widths, stacked, vectors_of
from stages.models.features.transformer import FusionTransformer
from stages.models.heads.model import Array, Features
from stages.models.training.checkpoints import Tensors
from stages.models.training.epochs import UNWATCHED, Schedule, Watch, run_epochs
from store.errors import InputError
from store.files.tensors import save_tensors

Doubles = NDArray[np.float64]
_FILE = "factors.safetensors"
_BLOCK_NUMBERS = 4 << 20  # in float64 at a time: 32 MB


@dataclass
class Columns:
    """What is known of the columns of the stacked matrix [N, F] and what they weigh.

    Attributes
    ----------
    factors : ndarray, [F, k]
        B.
    biases : ndarray, [F]
        c.
    weights : ndarray, [F]
        w, that of the matrix that a column belongs to.
    mean : float
        μ, over all numbers, weighted.
    penalty : float
        λ.
    """

    factors: Doubles
    biases: Doubles
    weights: Doubles
    mean: float
    penalty: float

    def fold_in(self, x: NDArray[Any]) -> tuple[Doubles, Doubles]:
        """Return the factors [n, k] and the biases [n] of rows [n, F] that minimise the objective for these columns.

        Each row is solved for by itself.
        """
        scale = np.sqrt(self.weights)
        design = np.column_stack([self.factors, np.ones(len(self.biases))])
        basis, triangle = _ridge(design * scale[:, None], self.penalty)
        solved = np.empty((len(x), design.shape[1]))
        for rows, block in _blocks(x):
            solved[rows] = np.linalg.solve(triangle, basis.T @ ((block - self.mean - self.biases) * scale).T).T
        return solved[:, :-1].copy(), solved[:, -1].copy()


def _ridge(design: Doubles, penalty: float) -> tuple[Doubles, Doubles]:
    """Return Q [m, d] and R [d, d]: R⁻¹Qᵀy minimises |y - design s|² + penalty |s|².

    The decomposition of the design itself, lengthened by the penalty, loses half as many digits as normal equations.
    """
    size = design.shape[1]
    basis, triangle = np.linalg.qr(np.vstack([design, math.sqrt(penalty) * np.eye(size)]))
    return basis[: len(design)], triangle


def _blocks(x: NDArray[Any]) -> Iterator[tuple[slice, Doubles]]:
    """Give rows of [n, F] in float64, some 32 MB at a time."""
    size = max(1, _BLOCK_NUMBERS // max(1, x.shape[1]))
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield rows, x[rows].astype(np.float64)


class Alternation:
    """Rows A [N, k], b [N] and columns B [F, k], c [F] of a matrix, solved for in turn; one epoch is one turn of each.

    Parameters
    ----------
    x : ndarray, [N, F]
        The stacked matrix.
    weights : ndarray, [F]
        Of each column.
    components : int
        k.
    penalty : float
        λ.
    seed : int
        Of the first A, drawn from N(0, 0.1²).
    """

    def __init__(self, x: NDArray[Any], weights: Doubles, components: int, penalty: float, seed: int) -> None:
        self._x = x
        self.rows = np.random.default_rng(seed).normal(0, 0.1, (len(x), components))
        self.row_biases = np.zeros(len(x))
        total = np.sum([block.sum(axis=0) for _, block in _blocks(x)], axis=0)
        mean = float(total @ weights / (len(x) * weights.sum()))
        factors = np.zeros((x.shape[1], components))
        self.columns = Columns(factors, np.zeros(x.shape[1]), weights, mean, penalty)

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:  # noqa: ARG002 (nothing is random)
        """Solve for the columns, then for the rows; return the objective."""
        self.solve_columns()
        self.solve_rows()
        tracker.advance(len(self._x))
        return self.objective(), math.nan

    def solve_columns(self) -> None:
        """Set B and c to what minimises the objective for A and b."""
        design = np.column_stack([self.rows, np.ones(len(self.rows))])
        known = self.columns
        for weight in np.unique(known.weights):
            mine, scale = known.weights == weight, math.sqrt(weight)
            basis, triangle = _ridge(design * scale, known.penalty)
            projected = np.zeros((design.shape[1], int(mine.sum())))
            for rows, block in _blocks(self._x):
                projected += basis[rows].T @ (scale * (block[:, mine] - known.mean - self.row_biases[rows, None]))
            solved = np.linalg.solve(triangle, projected)
            known.factors[mine], known.biases[mine] = solved[:-1].T, solved[-1]

    def solve_rows(self) -> None:
        """Set A and b to what minimises the objective for B and c."""
        self.rows, self.row_biases = self.columns.fold_in(self._x)

    def objective(self) -> float:
        """Return Σ w (x - μ - b - c - a·b)² + λ (|A|² + |B|² + |b|² + |c|²)."""
        known, total = self.columns, 0.0
        for rows, block in _blocks(self._x):
            expected = known.mean + known.biases + self.row_biases[rows, None] + self.rows[rows] @ known.factors.T
            total += float(np.square(block - expected).sum(axis=0) @ known.weights)
        sizes = [np.square(each).sum() for each in (self.rows, self.row_biases, known.factors, known.biases)]
        return total + known.penalty * float(sum(sizes))

    def state(self) -> Tensors:
        """Return the rows and the columns."""
        return {
            "rows": self.rows, "row_biases": self.row_biases,
            "columns": self.columns.factors, "column_biases": self.columns.biases,
        }  # fmt: skip

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        self.rows, self.row_biases = np.array(tensors["rows"]), np.array(tensors["row_biases"])
        self.columns.factors = np.array(tensors["columns"])
        self.columns.biases = np.array(tensors["column_biases"])

    def weights(self) -> Tensors:
        """Return nothing: the last iteration counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""


class CmfFusion(FusionTransformer):
    """`cmf`: the row factors of all inputs' matrices put side by side, [n, components]; docs/systems/fusions.md#cmf.

    X = [X0; X1; ...] of N train rows is taken for a fully observed table: minimise, over row factors A and biases b and
    column factors B and biases c, Σ w_m (x_ij - μ - b_i - c_j - a_i·b_j)² + penalty (|A|² + |B|² + |b|² + |c|²), by
    exact ridge solutions in turn, columns first, rows last. A row is embedded by the same solution with B, c and μ
    fixed, so a train row gets its own row of A, and rows do not influence each other. Rows without an input carry its
    missing vector and count as any other.

    `fit` computes in float64 block by block: it holds the train vectors (float32 [N, F]), and A and B a few times.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; see `as_layout`. None takes all columns for one matrix.
    components : int
        k, at most the smaller of N and F.
    penalty : float
        λ.
    iterations : int
        Solutions for columns and rows each.
    weights : sequence of float, optional
        How much the numbers of each input weigh (the objective `shared`); None weighs all the same.
    seed : int
        Of the first A, from N(0, 0.1²).

    Attributes
    ----------
    columns_ : Columns
        What rows are folded into.
    history_ : list of Epoch
        The objective after each iteration.
    """

    def __init__(
        self,
        layout: Sequence[Any] | None = None,
        components: int = 50,
        penalty: float = 10.0,
        iterations: int = 10,
        weights: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(layout)
        self.components, self.penalty, self.iterations = components, penalty, iterations
        self.weights, self.seed = weights, seed

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (no labels)
        """Learn from joined features [N, columns] of train rows.

        Raises
        ------
        InputError
            When there are fewer rows or columns than components, or another number of weights than inputs.
        """
        x = self._learnable(x)
        weights = self._column_weights(input_widths(x.shape[1], self.inputs))
        if self.components > min(len(x), len(weights)):
            raise InputError(
                f"fusion cmf: expected `components` of at most the smaller of n_samples={len(x)} train rows and "
                f"n_features={len(weights)} numbers a row; found {self.components}; lower `components`."
            )
        training = Alternation(stacked(x, self.inputs), weights, self.components, self.penalty, self.seed)
        self.history_ = run_epochs(watch, training, Schedule(self.iterations, len(x)))
        self.columns_ = training.columns
        return self

    def _column_weights(self, widths: Sequence[int]) -> Doubles:
        given = [1.0] * len(widths) if self.weights is None else self.weights
        if len(given) != len(widths) or min(given) <= 0:
            raise InputError(
                f"fusion cmf: expected one positive weight for each of {len(widths)} inputs; found {list(given)}; "
                "correct `weights`, or leave it out."
            )
        return np.repeat(np.asarray(given, np.float64), widths)

    def transform(self, x: Array) -> Array:
        """Return the row factors, float32 [n, components], of joined features [n, columns]."""
        x = self._transformable(x)
        return self.columns_.fold_in(vectors_of(x, self.inputs))[0].astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `factors.safetensors`: the columns, in float64."""
        known = self.columns_
        tensors = {"factors": known.factors, "biases": known.biases, "weights": known.weights}
        save_tensors({**tensors, "mean": np.array([known.mean]), "penalty": np.array([known.penalty])}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _FILE)
        mean, penalty = float(saved["mean"][0]), float(saved["penalty"][0])
        self.columns_ = Columns(saved["factors"], saved["biases"], saved["weights"], mean, penalty)
        return self._restored()
