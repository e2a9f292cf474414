"""The latent numbers of a convolutional autoencoder that `fit` trained; docs/systems/encoders.md#convae."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import Resize
from stages.models.encoders.image.preprocessing import Pixels, Preprocessing, stacked, trial_pictures
from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple, ZeroRows
from stages.models.encoders.running.held import Feed, HeldNetwork

ENCODER, DECODER = "encoder.safetensors", "decoder.safetensors"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CODE_VERSION = 1


def preprocessing(size: int, resize: Resize) -> Preprocessing:
    """Return how a picture becomes the input, in fitting and in encoding; it is scaled as for ImageNet."""
    return Preprocessing(size, 0.875, "bilinear", _MEAN, _STD, resize)


class AutoencoderLatent(Simple):
    """The latent numbers, none of them negative, of the encoding half.

    Parameters
    ----------
    folder : Path
        What `fit` wrote.
    """

    runs_network = True
    zero_rows: ZeroRows = "legal"  # every latent number may be cut off at zero
    budget = 32
    window = 256

    def __init__(self, folder: Path) -> None:
        self.artefact = Artefact.open(folder, "convae")
        options = self.artefact.options
        self.dim = int(options["latent"])
        self.preprocessing = preprocessing(options["size"], options["resize"])

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: what was fitted, and how a picture becomes its input."""
        return {
            "family": "convae",
            "fitted": dict(self.artefact.identity()),
            "preprocessing": self.preprocessing.identity(),
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:
        """Build the encoding half, load its weights strictly, make it ready to run."""
        feed = Feed(stacked, lambda _, outputs: outputs[0], self.dim, trial_pictures(self.preprocessing.size))
        self._network = HeldNetwork(self._build, feed, placement)
        self.concurrency = self._network.concurrency
        return self._network.runtime

    def _build(self) -> Any:
        from safetensors.torch import load_file

        from stages.models.encoders.image.autoencoder import Encoder, Scaled

        options = self.artefact.options
        half = Encoder(options["size"], options["hidden"], options["latent"])
        half.load_state_dict(load_file(self.artefact.folder / ENCODER), strict=True)
        return Scaled(_MEAN, _STD, half)

    def prepare(self, raws: Sequence[bytes]) -> list[Pixels]:
        """Return the pixels uint8 [S, S, 3] of each encoded picture."""
        return [self.preprocessing(raw) for raw in raws]

    def encode(self, batch: Sequence[Pixels]) -> Rows:
        """Return the latent numbers [n, latent]."""
        return self._network(batch)
