"""ImageNet networks through timm (`efficientnet-lite0`): resize, crop, one forward pass, pooling; systems.md 2.5."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL import __version__ as pillow_version

from stages.encoders.decoding import load_image
from stages.encoders.protocol import Engine, Vectors
from stages.encoders.weights import files_digest, resolve_model
from stages.errors import InputError

_CODE_VERSION = 1


@dataclass(frozen=True)
class Preprocessing:
    """How a decoded picture becomes a network input: short side to size / crop, centre crop, (x - mean) / std."""

    size: int
    crop: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def transform(self) -> Callable[[Image.Image], Any]:
        """Return timm's evaluation transform: PIL picture in, float32 tensor [3, size, size] out."""
        from timm.data.transforms_factory import create_transform

        made: Callable[[Image.Image], Any] = create_transform(
            input_size=(3, self.size, self.size),
            is_training=False,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            crop_pct=self.crop,
        )
        return made

    def golden_digest(self) -> str:
        """Return a digest of a resampled fixed pattern: a resize filter that changes is a new fingerprint."""
        grid = np.arange(96 * 128 * 3, dtype=np.uint32).reshape(96, 128, 3)
        pattern = Image.fromarray(((grid * 2654435761 >> 7) % 251).astype(np.uint8))
        filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
        resized = pattern.resize((57, 43), filters[self.interpolation])
        return hashlib.sha256(resized.tobytes()).hexdigest()


class TimmImage:
    """A timm network without its classifier, global average pooled.

    Parameters
    ----------
    architecture : str
        Name in timm's registry.
    model : str
        Weights file, see `resolve_model`.
    convert : callable
        Maps the file's state dict onto timm's names; the load is strict.
    dim : int
        Width of the pooled vector.
    preprocessing : Preprocessing
        What the weights were trained with.
    """

    engine: Engine = "torch"
    # On a processor larger batches leave its cache: 94 images/s at 16, 60 at 32 (EfficientNet-Lite0 forward, 2 cores).
    budget = 16
    window = 128

    def __init__(
        self,
        architecture: str,
        model: str,
        convert: Callable[[Mapping[str, Any]], dict[str, Any]],
        dim: int,
        preprocessing: Preprocessing,
    ) -> None:
        self.architecture, self.convert, self.dim, self.preprocessing = architecture, convert, dim, preprocessing
        self.weights = resolve_model(model)
        if not self.weights.is_file():
            raise InputError(f"model: expected a file of weights; found the folder {model!r}; name the file in it.")

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights by content, architecture, preprocessing and its golden digest."""
        return {
            "family": "timm",
            "architecture": self.architecture,
            "weights": files_digest([self.weights]),
            "output": "pooled",
            "decode": "exact",
            "pillow": pillow_version.partition(".")[0],
            "preprocessing": {
                **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.preprocessing).items()},
                "golden": self.preprocessing.golden_digest(),
            },
            "code_version": _CODE_VERSION,
        }

    def load(self, device: str) -> None:
        """Build the network, load the weights strictly, drop the classifier."""
        import timm
        import torch

        network: Any = timm.create_model(self.architecture, pretrained=False)  # timm types it as a bare Module
        try:
            state = torch.load(self.weights, map_location="cpu", weights_only=True)
            network.load_state_dict(self.convert(state), strict=True)
        except Exception as error:
            raise InputError(
                f"model: expected the weights of {self.architecture} in {self.weights.name!r}; found another file "
                f"({str(error)[:200]}); name the file that these weights came in."
            ) from error
        network.reset_classifier(0)
        # The contract is exact: in TF32, the default on a GPU, convolutions would keep 10 bits of mantissa.
        torch.backends.cudnn.allow_tf32 = False
        self._device = device
        self._network = network.eval().to(device=device, memory_format=torch.channels_last)
        self._transform = self.preprocessing.transform()

    def prepare(self, raw: bytes) -> Any:
        """Return the input tensor [3, size, size] float32 of one encoded picture."""
        return self._transform(load_image(raw))

    def cost(self, prepared: Any) -> int:  # noqa: ARG002 (every picture has the same size)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[Any]) -> Vectors:
        """Return the pooled vectors [n, D]."""
        import torch

        pixels = torch.stack(list(batch)).to(self._device, memory_format=torch.channels_last)
        with torch.inference_mode():
            vectors = self._network(pixels)
        pooled: Vectors = vectors.cpu().numpy()
        return pooled
