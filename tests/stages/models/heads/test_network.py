"""What only networks do: sizes, learning curves, early stopping, and a Ctrl-C that is not mistaken for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import load_file
from torch import Tensor

from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.network import Mlp, NetworkModel
from stages.models.heads.options import LinearOptions, MlpOptions, SvmOptions


def parameters(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden", "expected"),
    [(1100, 2, [512], 564_738), (1100, 1, [512], 564_225), (1024, 3, [256, 64], 279_043), (2048, 5000, [], 10_245_000)],
)
def test_parameter_counts_of_the_specification(inputs: int, outputs: int, hidden: list[int], expected: int) -> None:
    assert parameters(Mlp(inputs, outputs, hidden, 0.1)) == expected


def test_the_dnn_of_the_specification() -> None:
    options = HEADS["dnn"].options()
    wanted = {"hidden": (256, 64), "dropout": 0.4, "batch": 32, "epochs": 20, "lr": 1e-3, "weight_decay": 0.0}
    assert options.model_dump().items() >= wanted.items()
    model = build_head("dnn", 1024, options, Problem("multiclass", 3, 0)).model  # type: ignore[attr-defined]
    module = model.module(**model.arguments)
    assert parameters(module) == 279_043
    kinds = ["Linear", "ReLU", "Dropout"]
    assert [type(layer).__name__ for layer in module.layers] == [*kinds, *kinds, "Linear"]
    assert [layer.p for layer in module.layers if isinstance(layer, torch.nn.Dropout)] == [0.4, 0.4]


def test_without_hidden_layers_it_is_a_linear_map() -> None:
    module = Mlp(4, 2, (), 0.5).eval()
    x = torch.randn(6, 4)
    layer = module.layers[-1]
    torch.testing.assert_close(module(x), x @ layer.weight.T + layer.bias)


@pytest.fixture
def problem(make_toy: Any) -> tuple[LabelledRows, LabelledRows, Problem]:
    toy = make_toy("multilabel")
    x = toy.blocks[0]
    return LabelledRows(x[:100], toy.y[:100]), LabelledRows(x[100:], toy.y[100:]), Problem("multilabel", 3, 0)


def network(problem: Problem, module: type[Mlp] = Mlp, **options: Any) -> NetworkModel:
    chosen = MlpOptions(**{"hidden": (8,), "batch": 25, "lr": 0.01, **options})
    arguments = {"inputs": 5, "outputs": 3, "hidden": list(chosen.hidden), "dropout": chosen.dropout}
    return NetworkModel(module, arguments, chosen, problem)


def test_the_curve_has_a_line_per_epoch_and_falls(problem: tuple[LabelledRows, LabelledRows, Problem]) -> None:
    train, dev, about = problem
    history = network(about, epochs=8, dropout=0.0).fit(train, dev).history
    assert [each.epoch for each in history] == list(range(1, 9))
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].valid_loss < history[0].valid_loss


def test_without_dev_rows_all_epochs_run_and_their_loss_is_nan(
    problem: tuple[LabelledRows, LabelledRows, Problem],
) -> None:
    train, dev, about = problem
    history = network(about, epochs=4).fit(train, LabelledRows(dev.x[:0], dev.y[:0])).history
    assert len(history) == 4
    assert all(np.isnan(each.valid_loss) for each in history)


def test_training_stops_early_and_the_best_epoch_is_kept(problem: tuple[LabelledRows, LabelledRows, Problem]) -> None:
    train, _, about = problem
    wrong = LabelledRows(train.x, 1 - train.y)  # the better the fit to train, the worse this dev loss
    model = network(about, epochs=60, patience=3, lr=0.05).fit(train, wrong)
    losses = [each.valid_loss for each in model.history]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 60
    scores = np.clip(model.scores(wrong.x), 1e-7, 1 - 1e-7)
    kept = -(wrong.y * np.log(scores) + (1 - wrong.y) * np.log(1 - scores)).mean()
    assert kept == pytest.approx(min(losses), abs=1e-5)


class Interrupted(Mlp):
    """Somebody presses Ctrl-C during the forward pass number `at`."""

    calls = 0
    at = 0

    def forward(self, x: Tensor) -> Tensor:
        Interrupted.calls += 1
        if Interrupted.calls == Interrupted.at:
            raise KeyboardInterrupt
        return super().forward(x)


@pytest.mark.parametrize(("epochs", "at"), [(1, 1), (1, 3), (5, 9), (2, 8), (2, 10)])
def test_an_interrupt_is_handed_on(problem: tuple[LabelledRows, LabelledRows, Problem], epochs: int, at: int) -> None:
    train, dev, about = problem
    Interrupted.calls, Interrupted.at = 0, at
    with pytest.raises(KeyboardInterrupt):
        network(about, Interrupted, epochs=epochs).fit(train, dev)


def test_rows_do_not_influence_each_other(problem: tuple[LabelledRows, LabelledRows, Problem]) -> None:
    train, dev, about = problem
    model = network(about, epochs=3).fit(train, dev)
    together = model.scores(dev.x)
    alone = np.concatenate([model.scores(dev.x[row : row + 1]) for row in range(len(dev))])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_weight_decay_keeps_the_weights_small(problem: tuple[LabelledRows, LabelledRows, Problem]) -> None:
    train, dev, about = problem
    models = [network(about, epochs=5, weight_decay=decay).fit(train, dev) for decay in (0.0, 5.0)]
    free, tied = (sum(float(each.detach().norm()) for each in model.fitted_.parameters()) for model in models)
    assert tied < free


def test_what_is_saved_is_plain_weights_and_plain_arguments(
    problem: tuple[LabelledRows, LabelledRows, Problem], tmp_path: Path
) -> None:
    train, dev, about = problem
    network(about, epochs=1).fit(train, dev).save(tmp_path)
    shapes = {name: value.shape for name, value in load_file(tmp_path / "network.safetensors").items()}
    assert shapes == {
        "layers.0.weight": (8, 5), "layers.0.bias": (8,), "layers.3.weight": (3, 8), "layers.3.bias": (3,)
    }  # fmt: skip
    content = json.loads((tmp_path / "network.json").read_text())
    assert content == {"inputs": 5, "outputs": 3, "hidden": [8], "dropout": 0.1}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (MlpOptions, {"hidden": (8, 0)}), (MlpOptions, {"dropout": 1.0}), (MlpOptions, {"lr": 0}),
        (LinearOptions, {"hidden": (8,)}), (LinearOptions, {"epochs": 0}), (SvmOptions, {"gamma": 0.0}),
        (SvmOptions, {"gamma": "auto "}), (SvmOptions, {"c": -1}),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**wrong)
