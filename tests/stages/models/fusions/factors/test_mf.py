"""docs/systems/fusions.md#mf: its autoencoders, the sum that its loss is, its steps, and when it stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.contract import SilentProgress
from stages.models.fusions.factors.mf import FactorNetwork, MfFusion, MfTraining, product_losses
from stages.models.fusions.factors.rows import MfOptions
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Watch
from tests.stages.fit.killed import Counting, Killed
from tests.stages.models.fusions.factors.case import build, inputs, joined, widths

SILENT = SilentProgress()
WIDTHS = (10, 6)


def stack(rows: int = 20) -> np.ndarray:
    return np.concatenate(list(inputs("mf", rows).values()), axis=1)


def training(x: np.ndarray, given: tuple[int, ...] = WIDTHS, **options: Any) -> MfTraining:
    small = {"components": 3, "hidden": 5, "batch": 7, "lr": 0.01, "settled": 1000}
    return MfTraining(x, given, MfOptions(**{**small, **options}), (0, "cpu"))


def mse(left: Any, right: Any) -> float:
    return float(np.mean((np.asarray(left, np.float64) - np.asarray(right, np.float64)) ** 2))


@pytest.mark.parametrize(("rows", "parameters"), [(5000, 2_892_018), (4000, 2_378_018)])
def test_the_published_network_has_the_published_number_of_parameters(rows: int, parameters: int) -> None:
    options = MfOptions()
    with torch.device("meta"):
        network = FactorNetwork(rows, (100, 1000), options.hidden, options.components)
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_the_published_training_is_the_default() -> None:
    options = MfOptions()
    assert (options.batch, options.lr, options.tolerance, options.step) == (50, 1e-4, 1e-4, "epoch")
    assert (options.settled, options.epochs) == (100, 500)


@pytest.mark.parametrize("given", [(16,), (10, 6), (4, 6, 1, 5)])
def test_there_is_one_autoencoder_for_the_rows_and_one_for_each_matrix(given: tuple[int, ...]) -> None:
    x = joined({str(at): each for at, each in enumerate(np.split(stack(), np.cumsum(given)[:-1], axis=1))})
    fitted = build("mf", given).fit(x)
    network = fitted.network_
    autoencoders = [network.rows, *network.columns]
    assert len(autoencoders) == len(list(network.children())) - 1 + len(given) == 1 + len(given)
    assert [each.encoder[0].in_features for each in autoencoders] == [16] + [20] * len(given)
    assert [each.decoder[-1].out_features for each in autoencoders] == [16] + [20] * len(given)


def test_the_loss_is_the_sum_of_what_each_autoencoder_and_each_product_miss() -> None:
    x = stack() / 8  # so that 1e-6 is more than the last digit of float32
    made = training(x)
    with torch.no_grad():
        matrices = [torch.from_numpy(each) for each in np.split(x, [10], axis=1)]
        embeddings, rebuilt = made.network(torch.from_numpy(x), [each.T for each in matrices])
        products = product_losses(embeddings[0], embeddings[1:], matrices)
    assert [tuple(each.shape) for each in embeddings] == [(20, 3), (10, 3), (6, 3)]
    parts = [mse(rebuilt[0], x), mse(rebuilt[1], x[:, :10].T), mse(rebuilt[2], x[:, 10:].T)]
    u = [np.asarray(each, np.float64) for each in embeddings]
    own = [mse(u[0] @ u[1].T, x[:, :10]), mse(u[0] @ u[2].T, x[:, 10:])]
    np.testing.assert_allclose([float(each) for each in products], own, rtol=0, atol=1e-6)
    assert made.epoch(1, SILENT)[0] == pytest.approx(sum(parts) + sum(own), abs=1e-6)


def test_the_embeddings_of_rows_have_fifty_numbers_by_default() -> None:
    blocks = inputs("mf", 20)
    fitted = MfFusion(widths(blocks), epochs=1).fit(joined(blocks))
    assert fitted.transform(joined(blocks)).shape == (20, 50)
    assert fitted.network_.rows.encoder[0].out_features == 128


@pytest.mark.parametrize("step", ["epoch", "batch"])
def test_with_all_weights_zero_the_loss_is_the_mean_squares_of_the_inputs(step: str) -> None:
    x = stack()
    made = training(x, step=step, batch=20)  # in one batch, so that no step lies before the loss
    with torch.no_grad():
        for each in made.network.parameters():
            each.zero_()
    squares = [float(np.mean(each.astype(np.float64) ** 2)) for each in (x, x[:, :10], x[:, 10:])]
    assert made.epoch(1, SILENT)[0] == pytest.approx(squares[0] + 2 * squares[1] + 2 * squares[2], abs=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 20, 50])
def test_an_epoch_is_one_step_down_the_whole_gradient_whatever_the_batch(batch: int) -> None:
    x = stack()
    made, whole = training(x, batch=batch), training(x).network
    matrices = [torch.from_numpy(each) for each in np.split(x, [10], axis=1)]
    entities = [torch.from_numpy(x), *(each.T for each in matrices)]
    embeddings, rebuilt = whole(entities[0], entities[1:])
    own = [torch.mean((left - right) ** 2) for left, right in zip(rebuilt, entities, strict=True)]
    torch.stack([*own, *product_losses(embeddings[0], embeddings[1:], matrices)]).sum().backward()
    made.epoch(1, SILENT)
    for before, stepped in zip(whole.parameters(), made.network.parameters(), strict=True):
        assert bool(before.grad.abs().max() > 0)
        torch.testing.assert_close(stepped.detach(), (before - 0.01 * before.grad).detach(), rtol=1e-6, atol=1e-7)


def test_a_step_a_batch_learns_faster_than_a_step_an_epoch() -> None:
    x = stack(60)
    losses = {}
    for step in ("epoch", "batch"):
        made = training(x, step=step)
        losses[step] = [made.epoch(number, SILENT)[0] for number in range(1, 31)]
    assert losses["batch"][-1] < 0.7 * losses["epoch"][-1]
    assert losses["epoch"][-1] < losses["epoch"][0]


@pytest.mark.parametrize(
    ("tolerance", "settled", "epochs"), [(1e9, 0, 2), (1e9, 1, 2), (1e9, 4, 5), (0.0, 4, 8), (1e9, 8, 8), (1e9, 99, 8)]
)
def test_it_stops_where_the_loss_stops_falling_but_not_before_it_is_settled(
    tolerance: float, settled: int, epochs: int
) -> None:
    blocks = inputs("mf", 20)
    fitted = build("mf", widths(blocks), tolerance=tolerance, settled=settled, epochs=8).fit(joined(blocks))
    assert [line.epoch for line in fitted.history_] == list(range(1, epochs + 1))


def test_a_killed_run_stops_where_it_would_have_stopped(tmp_path: Path) -> None:
    blocks, states = inputs("mf", 20), Checkpoints(tmp_path, "it", "a" * 64)
    options = {"tolerance": 1e9, "settled": 3, "epochs": 9}
    whole = build("mf", widths(blocks), **options).fit(joined(blocks))
    with pytest.raises(Killed):
        build("mf", widths(blocks), **options).fit(joined(blocks), watch=Watch("fit it", Counting(70), states))
    resumed = build("mf", widths(blocks), **options).fit(joined(blocks), watch=Watch("fit it", Counting(), states))
    assert str(resumed.history_) == str(whole.history_)
    assert len(whole.history_) == 4
    np.testing.assert_array_equal(resumed.transform(joined(blocks)), whole.transform(joined(blocks)))


def test_products_of_embeddings_come_to_rebuild_the_matrices() -> None:
    x = stack(60)
    made = training(x, step="batch", hidden=32, components=8, lr=0.005, batch=20)
    for number in range(1, 201):
        made.epoch(number, SILENT)
    with torch.no_grad():
        matrices = [torch.from_numpy(each) for each in np.split(x, [10], axis=1)]
        embeddings, _ = made.network(torch.from_numpy(x), [each.T for each in matrices])
        missed = [float(each) for each in product_losses(embeddings[0], embeddings[1:], matrices)]
    assert missed[0] < 0.2 * float(matrices[0].var())
    assert missed[1] < 0.2 * float(matrices[1].var())
