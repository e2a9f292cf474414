"""Fits `resnet152-ft` and the `*-ft50` encoders: an ImageNet network and a linear classifier; systems.md 3.2, 3.3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from stages.encoders.decoding import load_image
from stages.encoders.finetuned_image import BASE, CONFIG, WEIGHTS
from stages.encoders.image.cnn import ImageNetwork, pixels_module
from stages.encoders.image.preprocessing import Pixels, Preprocessing
from stages.encoders.image.rows import IMAGE_ROWS, build_network
from stages.encoders.row import EncoderChoice
from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.augmentation import augmented
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.finetune.freezing import Layer, cut_by_name, cut_by_share, layers_in_order
from stages.fit.finetune.options import ImageOptions
from stages.outputs import write_json

_LEAST_AREA = 0.8
