"""The networks behind the image encoders, and what each is; docs/systems/encoders.md#imagenet-networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stages.models.encoders.image.preprocessing import Preprocessing

State = Mapping[str, Any]
_HALVES = (0.5, 0.5, 0.5)
# What the weights of torchvision and most of timm were trained with.
_IMAGENET = Preprocessing(224, 0.875, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_PAPER1 = replace(_IMAGENET, size=300, resize="squash")


def _halved(size: int) -> int:
    """Cells across the last map of a network that pads: five times halved, rounded up."""
    return -(-size // 32)


@dataclass(frozen=True)
class Architecture:
    """One network.

    Attributes
    ----------
    name : str
        In timm's registry, or `torchvision/<name>`.
    pooled, channels : int
        Width of the pooled features, and of the last map.
    parameters : int
        With the classifier for ImageNet's 1000 classes.
    preprocessing : Preprocessing
        What its own weights were trained with, at the size that the papers use.
    cells : callable
        From the input's side to that of the last map.
    aside : tuple of str
        Prefixes of weights that serve training only.
    rename : callable, optional
        From the names in a file of weights to those of the network.
    redraw : bool
        Whether random weights are drawn by He's rule in place of the library's, under which signals die or explode.
    """

    name: str
    pooled: int
    channels: int
    parameters: int
    preprocessing: Preprocessing
    cells: Callable[[int], int] = _halved
    aside: tuple[str, ...] = ()
    rename: Callable[[State], State] | None = None
    redraw: bool = False

    def map_shape(self, size: int) -> tuple[int, int, int]:
        """Return the shape [C, H, W] of the last map for an input of this size."""
        return self.channels, self.cells(size), self.cells(size)


_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# The first block has no expansion, so its names shift by one.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def to_timm(state: State) -> dict[str, Any]:
    """Return EfficientNet-Lite0's packaged weights under timm's names; one outside the known layout is a KeyError."""
    return {_rename(name): tensor for name, tensor in state.items()}


def _rename(name: str) -> str:
    head, _, rest = name.partition(".")
    if head != "_blocks":
        return f"{_OUTSIDE[head]}.{rest}"
    number, module, parameter = rest.split(".", 2)
    names = _FIRST_BLOCK if int(number) == 0 else _OTHER_BLOCK
    return f"blocks.{_stage_and_block(int(number))}.{names[module]}.{parameter}"


def _stage_and_block(number: int) -> str:
    for stage, count in enumerate(_BLOCKS_PER_STAGE):
        if number < count:
            return f"{stage}.{number}"
        number -= count
    raise KeyError(f"block {number} past the {sum(_BLOCKS_PER_STAGE)} blocks of EfficientNet-Lite0")


def _inception_cells(size: int) -> int:
    """Cells across Inception v3's last map: none of its steps pads, so each eats the border or halves."""
    size = (size - 3) // 2 + 1 - 2
    size = (size - 3) // 2 + 1 - 2
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


def _googlenet_cells(size: int) -> int:
    """Cells across GoogLeNet's last map: its first step pads, its poolings round up instead."""
    size = (size - 1) // 2 + 1
    for kernel in (3, 3, 3, 2):
        size = -(-(size - kernel) // 2) + 1
    return size


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet-lite0": Architecture(
        "tf_efficientnet_lite0", 1280, 1280, 4_652_008,
        Preprocessing(224, 0.875, "bicubic", _HALVES, _HALVES), rename=to_timm,
    ),
    "resnet18": Architecture("resnet18", 512, 512, 11_689_512, _IMAGENET),
    "resnet50": Architecture("resnet50", 2048, 2048, 25_557_032, _IMAGENET),
    "resnet101": Architecture("resnet101", 2048, 2048, 44_549_160, _IMAGENET),
    "resnet152": Architecture("resnet152", 2048, 2048, 60_192_808, _IMAGENET),
    "resnet50v2": Architecture(
        "resnetv2_50", 2048, 2048, 25_549_352,
        replace(_PAPER1, interpolation="bicubic", mean=_HALVES, std=_HALVES),
    ),
    "inceptionv3": Architecture(
        "inception_v3", 2048, 2048, 23_834_568, replace(_PAPER1, interpolation="bicubic", mean=_HALVES, std=_HALVES),
        cells=_inception_cells, aside=("AuxLogits.",), redraw=True,
    ),
    "mobilenetv2": Architecture("mobilenetv2_100", 1280, 1280, 3_504_872, replace(_PAPER1, interpolation="bicubic")),
    # The published weights came from TensorFlow, where pixels lie in [-1, 1].
    "googlenet": Architecture(
        "torchvision/googlenet", 1024, 1024, 6_624_904, replace(_IMAGENET, mean=_HALVES, std=_HALVES),
        cells=_googlenet_cells, aside=("aux1.", "aux2."), redraw=True,
    ),
    "vgg16": Architecture("vgg16", 4096, 512, 138_357_544, _IMAGENET, cells=lambda size: size // 32),
}  # fmt: skip
"""The networks by their names in the catalogue; the fine-tuned ones stand on the same."""


_TRUNK = (
    "conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b", "maxpool3", "inception4a",
    "inception4b", "inception4c", "inception4d", "inception4e", "maxpool4", "inception5a", "inception5b",
)  # fmt: skip


def googlenet(classes: int) -> Any:
    """Return torchvision's network without its auxiliary classifiers; docs/systems/encoders.md#googlenet.

    It has the two methods that timm's networks have.
    """
    import torch
    from torchvision.models import GoogLeNet

    class Network(GoogLeNet):  # type: ignore[misc]
        def forward_features(self, pixels: Any) -> Any:
            """Return the last map [n, 1024, H, W]."""
            for name in _TRUNK:
                pixels = getattr(self, name)(pixels)
            return pixels

        def forward_head(self, features: Any, pre_logits: bool = False) -> Any:
            """Return the pooled features [n, 1024], or the scores of the classes."""
            pooled = torch.flatten(self.avgpool(features), 1)
            return pooled if pre_logits else self.fc(self.dropout(pooled))

    return Network(num_classes=classes, aux_logits=False, transform_input=False, init_weights=True)
