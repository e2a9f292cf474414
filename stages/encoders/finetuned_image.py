"""A fine-tuned image network from what `fit` wrote: its features, or the scores of the classes it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stages.encoders.artefact import Artefact
from stages.encoders.image.architectures import ARCHITECTURES
from stages.encoders.image.backbones import Backbone
from stages.encoders.image.cnn import ImageNetwork
from stages.encoders.row import EncoderChoice

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
