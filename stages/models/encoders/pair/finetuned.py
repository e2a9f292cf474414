"""A transformer that reads a text behind a picture, from what `fit` wrote: its vectors, or the scores of the classes.

The picture takes the place of the first token: what a frozen image encoder sees of it is projected twice, to the width
of the visual-semantic base and from there to that of the transformer's words; docs/systems/encoders.md#bert-pair-ft.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import EncoderChoice, Output
from stages.models.encoders.protocol import Encoder, Part, Placement, Rows, Runtime, ZeroRows
from stages.models.encoders.running.engines import Array
from stages.models.encoders.running.held import Feed, HeldNetwork
from stages.models.encoders.text.finetuned import BASE, HEAD, class_count, scoring_module
from stages.models.encoders.text.tokens import padded
from stages.models.encoders.text.transformer import Pooling, TransformerText
from store import Fingerprint
from store.errors import InputError
from store.files.tensors import save_tensors

VISUAL = "visual.safetensors"
"""What a picture goes through: `base.weight` [d, D_v], `base.bias` [d], `visual.weight` [H, d], all float32."""

Prepared = tuple[list[int], Any]


class Projection(NamedTuple):
    """The visual half of a visual-semantic base: from what an image encoder sees to d numbers."""

    weight: Rows
    bias: Rows

    def __call__(self, seen: Rows) -> Rows:
        """Return e_v = W_v v + b_v, float32 [n, d], of image vectors v [n, D_v]."""
        return np.asarray(seen @ self.weight.T + self.bias, dtype=np.float32)


class FinetunedPair:
    """A transformer with the weights of an artefact, and the frozen image encoder that it was fitted behind.

    Parameters
    ----------
    artefact : Artefact
        A folder in the Hugging Face layout, the projections `visual.safetensors` and the classifier beside it.
    choice : EncoderChoice
        `output`: the pooled vector, never normalised, or the logits [K].
    image : Encoder
        The frozen image encoder that the options of the artefact name.

    Raises
    ------
    InputError
        When the image encoder is no longer the one that it was fitted behind.
    """

    zero_rows: ZeroRows = "refused"
    runs_network = True
    bytewise = False
    concurrency = 1
    window = 128
    chunk = 1

    def __init__(self, artefact: Artefact, choice: EncoderChoice, image: Encoder) -> None:
        options = artefact.options
        self.artefact = artefact
        self.output: Output = choice.output or "pooled"
        pooling = Pooling(options["pool"], options["max_len"], normalise=False)
        self.text = TransformerText(str(artefact.folder), pooling)
        self.image = image
        _refuse_another_image(artefact, image)
        self.budget = self.text.budget
        self.dim = self.text.dim if self.output == "pooled" else class_count(artefact.folder / HEAD)
        self.parts = (Part("vectors", (self.dim,)),)

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the transformer's, the image encoder's, and what was fitted."""
        return {
            **self.text.identity(),
            "family": "fine-tuned pair",
            "output": self.output,
            "image": dict(self.image.identity()),
            "fitted": dict(self.artefact.identity()),
        }

    def load(self, placement: Placement) -> Runtime:
        """Load both networks; the image encoder always keeps the exact contract, as it did while this was fitted."""
        held = load_file(self.artefact.folder / VISUAL)
        self._project = Projection(held["base.weight"], held["base.bias"])
        self.image.load(replace(placement, precision="exact"))

        def build() -> Any:
            module = pair_module(self.text.load_module(), held["visual.weight"])
            return module if self.output == "pooled" else scoring_module(module, self.artefact.folder / HEAD)

        self._network = HeldNetwork(build, self._feed(), placement)
        self.budget = self.text.budget_on(placement)
        self.concurrency = min(self._network.concurrency, self.image.concurrency)
        return self._network.runtime

    def _feed(self) -> Feed:
        self.text.load_tokenizer()
        rng = np.random.default_rng(0)
        trial, alone = (
            [(ids, rng.normal(size=len(self._project.bias)).astype(np.float32)) for ids in texts]
            for texts in self.text.trial()
        )
        return Feed(_collated, lambda _, outputs: outputs[0], self.dim, trial, alone, length=lambda item: len(item[0]))

    def prepare(self, raws: Sequence[tuple[str, bytes]]) -> list[Prepared]:
        """Return token ids and the image encoder's own input of each text and encoded picture."""
        pictures = self.image.prepare([picture for _, picture in raws])
        return list(zip(self.text.prepare([text for text, _ in raws]), pictures, strict=True))

    def notes(self) -> Mapping[str, int]:
        """Return how many of the texts so far were cut to `max_len`."""
        return self.text.notes()

    def cost(self, prepared: Prepared) -> int:
        """Return the number of tokens."""
        return self.text.cost(prepared[0])

    def encode(self, batch: Sequence[Prepared]) -> Rows:
        """Return the rows [n, dim]; neither padding nor company changes them beyond rounding."""
        visual = self._project(self._seen([picture for _, picture in batch]))
        return self._network([(ids, seen) for (ids, _), seen in zip(batch, visual, strict=True)])

    def _seen(self, pictures: Sequence[Any]) -> Rows:
        """Return the image vectors [n, D_v], in batches of the image encoder's own size."""
        size = max(1, self.image.budget)
        starts = range(0, len(pictures), size)
        return np.concatenate([self.image.encode(pictures[start : start + size]) for start in starts])


def _collated(items: Sequence[tuple[list[int], Rows]]) -> list[Array]:
    """Return ids and mask [n, T] and e_v [n, d] of one batch."""
    return [*padded([ids for ids, _ in items]), np.stack([seen for _, seen in items])]


def pair_module(body: Any, visual: Rows | Any) -> Any:
    """Return a module from (ids, mask) [n, T] and e_v [n, d] to (vectors [n, H],); `visual`, W_b, is its own layer.

    Parameters
    ----------
    body : torch module
        What `TransformerText.load_module` gives.
    visual : ndarray of float32, [H, d]
    """
    import torch

    class Pair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.visual = torch.nn.Linear(visual.shape[1], visual.shape[0], bias=False)
            with torch.no_grad():
                self.visual.weight.copy_(torch.from_numpy(visual))

        def forward(self, ids: Any, mask: Any, seen: Any) -> tuple[Any, ...]:
            return self.body(ids, mask, self.visual(seen.to(self.visual.weight.dtype)))  # type: ignore[no-any-return]

    return Pair()


def _refuse_another_image(artefact: Artefact, image: Encoder) -> None:
    name = artefact.options["image_encoder"]
    was = json.loads((artefact.folder / BASE).read_text("utf-8"))["image"]["identity"]
    found = Fingerprint.of(name, image.identity()).differences(Fingerprint.of(name, was))
    if found:
        raise InputError(
            f"{artefact.folder}: expected the image encoder {name!r} that it was fitted behind; found another one "
            f"({'; '.join(found[:3])}); bring it back, or run `dvc repro --force fit@{artefact.folder.name}`."
        )


def write_visual(folder: Path, base: Projection, visual: Rows) -> None:
    """Write what `FinetunedPair` projects pictures with."""
    tensors = {"base.weight": base.weight, "base.bias": base.bias, "visual.weight": visual}
    save_tensors({name: np.asarray(value, dtype=np.float32) for name, value in tensors.items()}, folder / VISUAL)
