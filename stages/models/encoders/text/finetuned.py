"""A fine-tuned transformer from what `fit` wrote: its vectors, or the scores of the classes that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import EncoderChoice, Output
from stages.models.encoders.protocol import Part
from stages.models.encoders.text.transformer import Pooling, TransformerText
from store.errors import InputError

HEAD, BASE = "head.safetensors", "base.json"


class FinetunedText(TransformerText):
    """A transformer with the weights of an artefact, prepared and run as the one that it was made from.

    Parameters
    ----------
    artefact : Artefact
        A folder in the Hugging Face layout, and the classifier `head.safetensors` beside it.
    choice : EncoderChoice
        `output`: the pooled vector, never normalised, or the logits [K]. `tokens`: the last layer besides the vector.
    """

    def __init__(self, artefact: Artefact, choice: EncoderChoice) -> None:
        options = artefact.options
        self.artefact = artefact
        self.output: Output = choice.output or "pooled"
        pooling = Pooling(options["pool"], options["max_len"], normalise=False, tokens=bool(choice.tokens))
        super().__init__(str(artefact.folder), pooling)
        if self.output == "logits":
            self._refuse_tokens()
            self.dim = class_count(artefact.folder / HEAD)
            self.parts = (Part("vectors", (self.dim,)),)

    def _refuse_tokens(self) -> None:
        if self.pooling.tokens:
            raise InputError(
                "tokens: expected `output: pooled` with `tokens: true`; found `output: logits`, which have no tokens; "
                "remove one of them, or add a second entry."
            )

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the transformer's, and what was fitted."""
        record = dict(super().identity())
        return {
            **record,
            "family": "fine-tuned transformer",
            "output": self.output,
            "fitted": dict(self.artefact.identity()),
        }

    def load_module(self) -> Any:
        """Return the network; where the scores are asked for, with the classifier behind it."""
        module = super().load_module()
        return module if self.output == "pooled" else scoring_module(module, self.artefact.folder / HEAD)


def scoring_module(body: Any, head: Path) -> Any:
    """Return a module from the inputs of `body` to (logits [n, K],), by the classifier in the file `head`."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(head)
    classes, width = weights["weight"].shape
    linear = torch.nn.Linear(width, classes)
    linear.load_state_dict(weights)

    class Scored(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = body, linear

        def forward(self, *inputs: Any) -> tuple[Any, ...]:
            vectors = self.body(*inputs)[0]
            return (self.head(vectors.to(self.head.weight.dtype)).to(torch.float32),)

    return Scored()


def class_count(head: Path) -> int:
    """Return K, the classes of the classifier in the file `head`."""
    with safe_open(head, "numpy") as file:
        return int(file.get_slice("weight").get_shape()[0])
