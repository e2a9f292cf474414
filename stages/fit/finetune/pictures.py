"""Fits `resnet152-ft` and the `*-ft50` encoders, with a linear classifier; docs/systems/encoders.md#fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from stages.encoders.catalog import FROZEN
from stages.encoders.decoding import load_image
from stages.encoders.finetuned_image import BASE, CONFIG, WEIGHTS
from stages.encoders.image.architectures import ARCHITECTURES
from stages.encoders.image.backbones import Backbone
from stages.encoders.image.cnn import ImageNetwork, trainable_module
from stages.encoders.image.preprocessing import Pixels, Preprocessing
from stages.encoders.row import EncoderChoice
from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.augmentation import augmented
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.finetune.freezing import Layer, cut_by_name, cut_by_share, layers_in_order
from stages.fit.finetune.options import ImageOptions
from stages.outputs import write_json

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
