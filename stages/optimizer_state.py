"""The moments of a torch optimiser as plain arrays and back, so that a training can be saved without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def optimizer_arrays(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, NDArray[Any]]:
    """Return copies of all that the optimiser keeps for its parameters, as `<prefix><parameter>/<name>`."""
    moments = optimizer.state_dict()["state"]
    return {
        f"{prefix}{index}/{name}": np.array(value.detach().cpu().numpy())
        for index, each in moments.items()
        for name, value in each.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays, prefix: str) -> None:
    """Take up what `optimizer_arrays` returned; rates and the like stay as the optimiser was made with."""
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            index, _, name = key.removeprefix(prefix).partition("/")
            moments.setdefault(int(index), {})[name] = torch.tensor(value)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
