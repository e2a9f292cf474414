"""Fits `resnet152-ft` and the `*-ft50` encoders, with a linear classifier; docs/systems/encoders.md#fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.finetune.network import Layer, cut_by_name, cut_by_share, layers_in_order
from stages.fit.options import ImageOptions
from stages.models.encoders.catalog.encoders import FROZEN
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import ARCHITECTURES
from stages.models.encoders.image.backbone import Backbone
from stages.models.encoders.image.decoding import load_image
from stages.models.encoders.image.network import BASE, CONFIG, WEIGHTS, ImageNetwork, trainable_module
from stages.models.encoders.image.preprocessing import Pixels, Preprocessing
from store.files.outputs import write_json

_ATTEMPTS = 10
_RATIOS = (3 / 4, 4 / 3)


def augmented(
    picture: Image.Image, size: int, least: float, resample: Image.Resampling, rng: np.random.Generator
) -> Image.Image:
    """Return a random part of the picture, [size, size], mirrored half of the time.

    Parameters
    ----------
    picture : PIL picture
    size : int
        Pixels of a side of the result.
    least : float
        Smallest share of the picture's area that the part may have; the largest is 1.
    resample : PIL filter
    rng : Generator
        Where all chance comes from.
    """
    left, top, width, height = random_part(picture.width, picture.height, least, rng)
    box = (left, top, left + width, top + height)
    part = picture.resize((size, size), resample, box=box)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def random_part(width: int, height: int, least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of a part of at least a share of the area, its sides' ratio in 3/4 to 4/3.

    A picture so long that no such part was found gives the largest part in its centre that keeps to the ratio.
    """
    for _ in range(_ATTEMPTS):
        area = width * height * rng.uniform(least, 1.0)
        ratio = math.exp(rng.uniform(math.log(_RATIOS[0]), math.log(_RATIOS[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - high + 1)
            return int(left), int(top), wide, high
    ratio = min(max(width / height, _RATIOS[0]), _RATIOS[1])
    wide, high = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    return (width - wide) // 2, (height - high) // 2, wide, high


_LEAST_AREA = 0.8
_SAMPLE = 96  # pixels of a side that every network takes, and that costs little


def fit_picture(context: FitContext, folder: Path) -> Fitted:
    """Fine-tune an image network and write a folder in timm's layout, its classifier that of the manifest's classes.

    Raises
    ------
    InputError
        When the base network cannot be loaded, or has no layer `unfreeze_from`.
    RunError
        When the training diverged.
    """
    options: ImageOptions = context.options
    encoder = _base(options, context.seed)
    network = encoder.backbone.load()
    network.reset_classifier(0)
    classifier, fitted = train_classifier(context, _body(encoder, network, options))
    _write(encoder, network, classifier.head, folder)
    write_json(folder / BASE, {"encoder": options.base, "identity": encoder.identity()})
    return fitted


def _base(options: ImageOptions, seed: int) -> ImageNetwork:
    choice = EncoderChoice(
        options.model,
        options.revision,
        seed=seed,
        size=options.size,
        resize=options.resize,
        scale=options.scale,
        decode=options.decode,
    )
    return ImageNetwork(Backbone(ARCHITECTURES[options.base], FROZEN[options.base].model, choice), choice)


def _body(encoder: ImageNetwork, network: nn.Module, options: ImageOptions) -> Body:
    preprocessing = encoder.preprocessing

    def prepare(raw: bytes, rng: np.random.Generator | None) -> Pixels:
        return preprocessing(raw) if rng is None or not options.augment else _augmented(raw, preprocessing, rng)

    layers = layers_in_order(network, torch.zeros(1, 3, _SAMPLE, _SAMPLE))
    frozen = _frozen(layers, options)
    network.to(memory_format=torch.channels_last)
    module = trainable_module(network, preprocessing)
    return Body(module, encoder.backbone.architecture.pooled, prepare, _collate, layers, frozen)


def _frozen(layers: Sequence[Layer], options: ImageOptions) -> int:
    if options.unfreeze_from is not None:
        return cut_by_name(layers, options.unfreeze_from)
    return cut_by_share(layers, options.freeze)


def _augmented(raw: bytes, preprocessing: Preprocessing, rng: np.random.Generator) -> Pixels:
    picture = augmented(load_image(raw), preprocessing.size, _LEAST_AREA, preprocessing.filter, rng)
    return np.array(picture)


def _collate(pictures: Sequence[Pixels]) -> tuple[NDArray[np.uint8], ...]:
    return (np.stack(pictures),)


def _write(encoder: ImageNetwork, network: Any, head: nn.Linear, folder: Path) -> None:
    """Write weights and `config.json` as timm does, so that timm itself can load the folder too."""
    network.reset_classifier(head.out_features)
    own = network.get_classifier()  # in some networks a convolution of one pixel
    with torch.no_grad():
        own.weight.copy_(head.weight.view_as(own.weight))
        own.bias.copy_(head.bias)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / WEIGHTS)
    how = encoder.backbone.architecture.preprocessing
    config = {
        "architecture": encoder.backbone.architecture.name,
        "num_classes": head.out_features,
        "num_features": head.in_features,
        "pretrained_cfg": {
            "input_size": [3, how.size, how.size],
            "crop_pct": how.crop,
            "interpolation": how.interpolation,
            "mean": list(how.mean),
            "std": list(how.std),
        },
    }
    write_json(folder / CONFIG, config)
