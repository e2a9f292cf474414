"""The state of a fine-tuning between two epochs on disk, safetensors and JSON, so that a killed run goes on from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from stages.outputs import fresh_folder, write_json

_STATE, _FILES = "state.json", ("network", "best", "optimizer")
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Epoch:
    """One line of a learning curve; without dev rows the last two are None."""

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None


@dataclass
class State:
    """What a fine-tuning is after some epochs; chance needs no state, each epoch draws from a seed of its own.

    Attributes
    ----------
    curve : list of Epoch
        One line per epoch that is done.
    best_epoch : int
        The epoch whose weights `best` holds; 0 before the first.
    failed : dict
        Id of each item that could not be read, to its reason.
    network, best, optimizer : dict of Tensor
        Weights now, weights of the best epoch, moments of the optimiser.
    """

    curve: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    network: Tensors = field(default_factory=dict)
    best: Tensors = field(default_factory=dict)
    optimizer: Tensors = field(default_factory=dict)


class Checkpoints:
    """The newest state of one fine-tuning, in a folder that is replaced as a whole.

    Parameters
    ----------
    folder : Path
    identity : str
        All that the result depends on; the state of another fine-tuning is not taken up.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity

    def save(self, state: State) -> None:
        """Replace the state on disk."""
        about = {
            "identity": self.identity,
            "curve": [asdict(each) for each in state.curve],
            "best_epoch": state.best_epoch,
            "failed": state.failed,
        }
        with fresh_folder(self.folder) as folder:
            for name in _FILES:
                save_file(getattr(state, name), folder / f"{name}.safetensors")
            write_json(folder / _STATE, about)

    def load(self) -> State | None:
        """Return the state on disk; None when there is none of this fine-tuning, or it cannot be read."""
        try:
            about = json.loads((self.folder / _STATE).read_text("utf-8"))
            if about["identity"] != self.identity:
                return None
            tensors: dict[str, Any] = {name: load_file(self.folder / f"{name}.safetensors") for name in _FILES}
            curve = [Epoch(**each) for each in about["curve"]]
            return State(curve, about["best_epoch"], about["failed"], **tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def pack_optimizer(optimizer: Optimizer) -> Tensors:
    """Return the optimiser's tensors under flat names; its settings are not in them."""
    moments = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value.cpu() for index, each in moments.items() for name, value in each.items()}


def unpack_optimizer(optimizer: Optimizer, tensors: Tensors) -> None:
    """Put what `pack_optimizer` returned into an optimiser of the same parameters."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
