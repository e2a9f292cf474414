"""The state of a torch training as plain arrays: what the trainings of `mf`, `mmeda1` and `mmeda2` have in common."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stages.checkpoints import Tensors
from stages.optimizer_state import optimizer_arrays, restore_optimizer

_NETWORK, _MOMENTS = "network/", "optimizer/"


class FactorTraining:
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
        weights = {
            f"{_NETWORK}{name}": np.array(value.detach().cpu().numpy())
            for name, value in self._network.state_dict().items()
        }
        return {**weights, **optimizer_arrays(self.optimizer, _MOMENTS)}

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        found = {k.removeprefix(_NETWORK): torch.tensor(v) for k, v in tensors.items() if k.startswith(_NETWORK)}
        self._network.load_state_dict(found)
        restore_optimizer(self.optimizer, tensors, _MOMENTS)

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""
