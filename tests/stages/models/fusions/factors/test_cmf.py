"""`cmf`: the checks of docs/systems/fusions.md#cmf, the objective `shared`, and blocks that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.fuse.params import FuseParams
from stages.models.fusions.factors import cmf
from stages.models.fusions.factors.cmf import Alternation, CmfFusion
from store.errors import InputError
from tests.stages.models.fusions.factors.case import build, inputs, joined, widths

UNEVEN = np.repeat([0.5, 4.0], [7, 5])


def rank_three(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(40, 3)) @ rng.normal(size=(3, 12))


def rebuilt(made: Alternation) -> np.ndarray:
    known = made.columns
    return known.mean + known.biases + made.row_biases[:, None] + made.rows @ known.factors.T


def after(x: np.ndarray, *, weights: np.ndarray | None = None, penalty: float = 10.0, turns: int = 10) -> Alternation:
    made = Alternation(x, np.ones(x.shape[1]) if weights is None else weights, 3, penalty, 0)
    for turn in range(turns):
        made.epoch(turn + 1, SilentProgress())
    return made


@pytest.mark.parametrize("weights", [np.ones(12), UNEVEN])
@pytest.mark.parametrize("penalty", [1e-8, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_half_step_raises_the_objective(weights: np.ndarray, penalty: float, seed: int) -> None:
    noisy = rank_three(seed) + np.random.default_rng(seed).normal(size=(40, 12))
    made = Alternation(noisy, weights, 3, penalty, seed)
    found = [made.objective()]
    for _ in range(10):
        made.solve_columns()
        found.append(made.objective())
        made.solve_rows()
        found.append(made.objective())
    assert max(np.diff(found)) <= 1e-9
    assert found[-1] < 0.9 * found[0]


@pytest.mark.parametrize("weights", [np.ones(12), UNEVEN])
@pytest.mark.parametrize("side", ["rows", "columns"])
def test_each_half_step_is_the_exact_least_of_the_objective(side: str, weights: np.ndarray) -> None:
    made = after(rank_three(0), weights=weights, turns=1)
    if side == "rows":
        made.solve_rows()
        solved = [made.rows, made.row_biases]
    else:
        made.solve_columns()
        solved = [made.columns.factors, made.columns.biases]
    least, rng = made.objective(), np.random.default_rng(0)
    for numbers in solved:
        found, step = numbers.copy(), 1e-3 * rng.normal(size=numbers.shape)
        rises = []
        for moved in (found + step, found - step):
            numbers[:] = moved
            rises.append(made.objective() - least)
        numbers[:] = found
        assert min(rises) > 0
        # As steep to either side: the gradient is zero there.
        assert rises[0] == pytest.approx(rises[1], rel=1e-3)


def test_the_objective_is_the_one_of_the_specification() -> None:
    x = rank_three(1)
    made = after(x, weights=UNEVEN, turns=2)
    known = made.columns
    squares = sum(float((each**2).sum()) for each in (made.rows, made.row_biases, known.factors, known.biases))
    assert made.objective() == pytest.approx(float((UNEVEN * (x - rebuilt(made)) ** 2).sum()) + 10 * squares, rel=1e-12)
    assert after(x).columns.mean == pytest.approx(x.mean(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_matrix_of_rank_three_is_rebuilt(seed: int) -> None:
    x = rank_three(seed)
    assert abs(rebuilt(after(x, penalty=1e-8)) - x).max() < 1e-6


@pytest.mark.parametrize("weights", [np.ones(12), UNEVEN])
@pytest.mark.parametrize("penalty", [1e-8, 10.0])
def test_a_train_row_that_is_folded_in_gets_its_own_row(weights: np.ndarray, penalty: float) -> None:
    x = rank_three(2)
    made = after(x, weights=weights, penalty=penalty)
    for row in (0, 17, 39):
        np.testing.assert_allclose(made.columns.fold_in(x[row : row + 1])[0][0], made.rows[row], rtol=0, atol=1e-8)


def test_transforming_train_rows_gives_the_rows_that_were_learned() -> None:
    blocks = inputs("cmf", 20)
    x = np.concatenate(list(blocks.values()), axis=1)
    fitted = build("cmf", widths(blocks), iterations=10).fit(joined(blocks))
    made = after(x)
    np.testing.assert_allclose(fitted.transform(joined(blocks)), made.rows, rtol=1e-6, atol=1e-7)
    assert fitted.history_[-1].train_loss == made.objective()


@pytest.mark.parametrize(("rows", "components"), [(20, 17), (5, 6)])
def test_more_components_than_rows_or_columns_are_refused(rows: int, components: int) -> None:
    blocks = inputs("cmf", rows)
    message = f"`components` of at most the smaller of n_samples={rows} .* n_features=16 .*; found {components}"
    with pytest.raises(InputError, match=message):
        build("cmf", widths(blocks), components=components).fit(joined(blocks))
    assert build("cmf", widths(blocks), components=components - 1).fit(joined(blocks)).history_


def test_equal_weights_are_no_weights_and_a_heavy_input_is_rebuilt_better() -> None:
    blocks = inputs("cmf", 30)
    rng = np.random.default_rng(5)
    blocks = {name: rng.normal(size=each.shape).astype(np.float32) for name, each in blocks.items()}
    x, errors = joined(blocks), {}
    for weights in (None, (1.0, 1.0), (20.0, 1.0), (1.0, 20.0)):
        fitted = build("cmf", widths(blocks), weights=weights, penalty=1.0).fit(x)
        known = fitted.columns_
        rows, biases = known.fold_in(x[:, :16])
        error = (known.mean + known.biases + biases[:, None] + rows @ known.factors.T - x[:, :16]) ** 2
        errors[weights] = (error[:, :10].mean(), error[:, 10:].mean())
    assert errors[None] == errors[1.0, 1.0]
    assert errors[20.0, 1.0][0] < errors[None][0] < errors[1.0, 20.0][0]
    assert errors[1.0, 20.0][1] < errors[None][1] < errors[20.0, 1.0][1]


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (1.0, 0.0)])
def test_another_number_of_weights_or_none_above_zero_is_refused(weights: tuple[float, ...]) -> None:
    blocks = inputs("cmf", 20)
    with pytest.raises(InputError, match="expected one positive weight for each of 2 inputs"):
        build("cmf", widths(blocks), weights=weights).fit(joined(blocks))


def test_how_many_rows_are_computed_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rank_three(3)
    whole = after(x, weights=UNEVEN)
    monkeypatch.setattr(cmf, "_BLOCK_NUMBERS", 7 * 12)
    blockwise = after(x, weights=UNEVEN)
    np.testing.assert_allclose(blockwise.rows, whole.rows, rtol=0, atol=1e-12)
    assert blockwise.objective() == pytest.approx(whole.objective(), rel=1e-12)


def test_a_plain_array_is_one_matrix() -> None:
    x = rank_three(4).astype(np.float32)
    fitted = CmfFusion(components=3, penalty=1e-8).fit(x)
    assert fitted.transform(x).shape == (40, 3)
    assert fitted.n_features_in_ == 12


def test_params_hold_its_options_and_refuse_wrong_ones() -> None:
    given = {"fusion": "cmf", "features": ["t", "v"]}
    assert FuseParams(**given, weights=[1, 2.5]).options.model_dump()["weights"] == (1.0, 2.5)
    for wrong, message in ({"penalty": 0}, "greater than 0"), ({"weights": [1, 0]}, "greater than 0"):
        with pytest.raises(ValidationError, match=message):
            FuseParams(**given, **wrong)
