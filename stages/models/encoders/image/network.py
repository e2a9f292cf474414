"""ImageNet networks, published or fine-tuned: resize, crop, run, pool; docs/systems/encoders.md#imagenet-networks."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import EncoderChoice, Output
from stages.models.encoders.image.architectures import ARCHITECTURES, Architecture
from stages.models.encoders.image.backbone import Backbone
from stages.models.encoders.image.preprocessing import Pixels, Preprocessing, stacked, trial_pictures
from stages.models.encoders.protocol import Part, Placement, Rows, Runtime, ZeroRows, row_width
from stages.models.encoders.running.engines import Array
from stages.models.encoders.running.held import Feed, HeldNetwork

_LOG = logging.getLogger(__name__)


def fold_batch_norms(network: Any) -> Any:
    """Return a copy of a network in evaluation mode whose batch normalisations are folded into the convolutions before.

    The same numbers come from fewer passes over the memory. OpenVINO does so by itself; torch does not. A network whose
    steps cannot be traced comes back as it is: that costs time and changes no number.

    Parameters
    ----------
    network : torch.nn.Module
        In float32, on the processor.
    """
    import torch

    class Tracer(torch.fx.Tracer):
        """Takes convolutions and normalisations whole, timm's own kinds of them too."""

        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            ours = isinstance(m, torch.nn.Conv2d | torch.nn.BatchNorm2d)
            return ours or super().is_leaf_module(m, module_qualified_name)

    network = copy.deepcopy(network)
    try:
        traced = torch.fx.GraphModule(network, Tracer().trace(network))
    except Exception as error:  # noqa: BLE001 (what a step that depends on the data raises is up to that step)
        _LOG.debug("not folded: %s", error)
        return network
    modules = dict(traced.named_modules())
    for node in traced.graph.nodes:
        before: Any = node.args[0] if node.args else None
        if node.op == getattr(before, "op", None) == "call_module" and len(before.users) == 1:
            _fold(modules, before.target, node.target)
    return traced


def _fold(modules: dict[str, Any], first: Any, second: Any) -> None:
    """Fold the module named `second` into `first`, if they are a normalisation and a convolution."""
    import torch

    convolution, norm = modules[first], modules[second]
    if not isinstance(convolution, torch.nn.Conv2d) or not isinstance(norm, torch.nn.BatchNorm2d):
        return
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:  # it takes those of the batch, so that there is nothing to fold
        return
    folded = torch.nn.utils.fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = folded
    # timm's kind holds its activation too.
    rest = [each for name in ("drop", "act") if (each := getattr(norm, name, None)) is not None]
    parent, _, name = second.rpartition(".")
    setattr(modules[parent], name, torch.nn.Sequential(*rest))


_CODE_VERSION = 2
# Pictures in a batch. On a processor larger batches leave its cache: 94 images/s at 16, 60 at 32 (EfficientNet-Lite0
# forward, 2 cores); a GPU needs more to be kept busy.
_BUDGET = {"cpu": 16, "cuda": 256}
_UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class ImageNetwork:
    """A convolutional network: its pooled features or the scores of its classes, and its last map if wanted.

    Parameters
    ----------
    backbone : Backbone
        Architecture and weights.
    choice : EncoderChoice
        Overrides of `output`, `size`, `resize`, `scale`, `decode`, `profile` and `map`.
    output : {"pooled", "logits"}
        What the vector is unless the choice says otherwise.
    """

    zero_rows: ZeroRows = "refused"
    runs_network = True
    bytewise = False
    budget = _BUDGET["cpu"]
    concurrency = 1
    window = 128
    chunk = 1

    def __init__(self, backbone: Backbone, choice: EncoderChoice, output: Output = "pooled") -> None:
        self.backbone = backbone
        self.output: Output = choice.output or output
        self.preprocessing = _chosen(backbone.architecture, choice)
        shape = backbone.architecture
        vector = Part("vectors", (shape.pooled if self.output == "pooled" else backbone.classes,))
        self.parts = (vector, *((Part("map", shape.map_shape(self.preprocessing.size)),) if choice.map else ()))
        self.dim = row_width(self.parts)

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights by content, architecture, preprocessing and its golden digest."""
        return {
            "family": "image network",
            **self.backbone.identity(),
            "output": self.output,
            "parts": [part.name for part in self.parts],
            "preprocessing": self.preprocessing.identity(),
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:
        """Build the network, load the weights strictly, make it ready to run."""
        with_map = len(self.parts) > 1

        def build() -> Any:
            return _from_pixels(_outputs(self.backbone.load(), self.output), self.preprocessing, with_map=with_map)

        def folded(module: Any) -> Any:  # OpenVINO folds by itself
            return _from_pixels(fold_batch_norms(module.outputs), self.preprocessing, with_map=with_map)

        feed = Feed(stacked, _rows, self.parts[0].width, trial_pictures(self.preprocessing.size), tuned=folded)
        self._network = HeldNetwork(build, feed, placement)
        self.budget = _BUDGET[placement.device.partition(":")[0]]
        self.concurrency = self._network.concurrency
        return self._network.runtime

    def prepare(self, raws: Sequence[bytes]) -> list[Pixels]:
        """Return the pixels uint8 [size, size, 3] of each encoded picture."""
        return [self.preprocessing(raw) for raw in raws]

    def notes(self) -> Mapping[str, int]:
        """Return nothing: a picture is never cut beyond what `resize` says."""
        return {}

    def cost(self, prepared: Pixels) -> int:  # noqa: ARG002 (every picture has the same size)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[Pixels]) -> Rows:
        """Return the rows [n, dim]."""
        return self._network(batch)


def _rows(batch: Sequence[Pixels], outputs: Sequence[Array]) -> Rows:
    if len(outputs) == 1:
        return outputs[0]
    return np.concatenate([each.reshape(len(batch), -1) for each in outputs], axis=1)


def _chosen(architecture: Architecture, choice: EncoderChoice) -> Preprocessing:
    own = architecture.preprocessing
    mean, std = _UNIT if choice.scale == "unit" else (own.mean, own.std)
    return replace(
        own,
        size=choice.size or own.size,
        resize=choice.resize or own.resize,
        decode=choice.decode or own.decode,
        mean=mean,
        std=std,
        profile=choice.profile,
    )


def trainable_module(network: Any, preprocessing: Preprocessing) -> Any:
    """Return a module from pixels uint8 [n, S, S, 3] to (vectors [n, D],) for `fit`: nothing in it is folded."""
    return _from_pixels(_outputs(network, "pooled"), preprocessing, with_map=False)


def _outputs(network: Any, output: Output) -> Any:
    """Return a module from scaled pixels [n, 3, S, S] to vectors [n, D] and the last map [n, C, H, W]."""
    import torch

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, scaled: Any) -> tuple[Any, Any]:
            features = self.network.forward_features(scaled)
            return self.network.forward_head(features, pre_logits=output == "pooled"), features

    return Outputs().eval()


def _from_pixels(outputs: Any, preprocessing: Preprocessing, *, with_map: bool) -> Any:
    """Return a module from pixels uint8 [n, S, S, 3] to (vectors [n, D],) or (vectors, map [n, C, H, W])."""
    import torch

    mean = [255 * value for value in preprocessing.mean]
    std = [255 * value for value in preprocessing.std]

    class FromPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outputs = outputs

        def forward(self, pixels: Any) -> tuple[Any, ...]:
            # A channels-last picture by its strides alone; in float32 until it enters the network.
            channels = pixels.permute(0, 3, 1, 2).to(torch.float32)
            scaled = (channels - self._constant(mean, pixels)) / self._constant(std, pixels)
            vectors, features = self.outputs(scaled.to(next(self.parameters()).dtype))
            return tuple(each.to(torch.float32) for each in ((vectors, features) if with_map else (vectors,)))

        def _constant(self, values: list[float], like: Any) -> Any:
            return torch.tensor(values, dtype=torch.float32, device=like.device).view(1, 3, 1, 1)

    return FromPixels()


WEIGHTS, CONFIG, BASE = "model.safetensors", "config.json", "base.json"


class FinetunedImage(ImageNetwork):
    """An image network with the weights of an artefact, prepared and run as the one that it was made from.

    Parameters
    ----------
    artefact : Artefact
        A folder in timm's layout; its options say how pictures were prepared, which is never augmented here.
    choice : EncoderChoice
        `output`: the pooled features or the logits [K]. `map`: the last map besides the vector.
    """

    def __init__(self, artefact: Artefact, choice: EncoderChoice) -> None:
        options = artefact.options
        self.artefact = artefact
        # The file holds timm's own names, whatever the weights looked like that the training began with.
        architecture = replace(ARCHITECTURES[options["base"]], rename=None, aside=())
        as_trained = {name: options[name] for name in ("size", "resize", "scale", "decode")}
        backbone = Backbone(architecture, "", EncoderChoice(str(artefact.folder)))
        super().__init__(backbone, EncoderChoice(output=choice.output, map=choice.map, **as_trained))

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the network's, and what was fitted."""
        record = dict(super().identity())
        return {**record, "family": "fine-tuned image network", "fitted": dict(self.artefact.identity())}
