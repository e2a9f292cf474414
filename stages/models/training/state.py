"""A torch training as plain arrays and back, saved without pickle: the weights, and the moments of the optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages.models.training.checkpoints import Tensors

Arrays = Mapping[str, NDArray[Any]]
_NETWORK, _MOMENTS = "network/", "optimizer/"


def module_arrays(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of a module's weights and statistics by name."""
    return {name: np.array(value.detach().cpu().numpy()) for name, value in module.state_dict().items()}


def restore_module(module: nn.Module, arrays: Arrays) -> None:
    """Take up what `module_arrays` returned; a number by itself may have come back from a file as a row of one."""
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    module.load_state_dict({name: torch.tensor(value).reshape(shapes[name]) for name, value in arrays.items()})


def training_arrays(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """Return copies of the weights, as `network/<name>`, and of the moments, as `optimizer/<parameter>/<name>`."""
    moments = {
        f"{_MOMENTS}{index}/{name}": np.array(value.detach().cpu().numpy())
        for index, each in optimizer.state_dict()["state"].items()
        for name, value in each.items()
        if isinstance(value, torch.Tensor)
    }
    return {**{f"{_NETWORK}{name}": value for name, value in module_arrays(module).items()}, **moments}


def restore_training(module: nn.Module, optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Take up what `training_arrays` returned; rates and the like stay as the optimiser was made with."""
    restore_module(module, {k.removeprefix(_NETWORK): v for k, v in arrays.items() if k.startswith(_NETWORK)})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in arrays.items():
        if key.startswith(_MOMENTS):
            index, _, name = key.removeprefix(_MOMENTS).partition("/")
            moments.setdefault(int(index), {})[name] = torch.tensor(value)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


class LastEpochTraining:
    """A network and its optimiser; its last epoch counts.

    Parameters
    ----------
    network : torch module
    optimizer : torch optimiser
        Of the network's parameters.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._network, self.optimizer = network, optimizer

    def state(self) -> Tensors:
        """Return the weights and the moments of the optimiser."""
        return training_arrays(self._network, self.optimizer)

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        restore_training(self._network, self.optimizer, tensors)

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""
