"""What the catalogue says of one encoder, and what a user may choose of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from stages.models.encoders.image.profiles import Profile
from stages.models.encoders.protocol import Encoder
from store.errors import InputError

Kind = Literal["text", "image", "pair"]
"""What of an item an encoder reads: a text field, the picture, or a text field and the picture."""
Pool = Literal["pooled", "cls", "mean"]
Output = Literal["pooled", "logits"]
Resize = Literal["crop", "squash"]
Scale = Literal["weights", "unit"]
Decode = Literal["exact", "fast"]
RANDOM = "random"
"""As `model`: the real architecture with seeded random weights, for tests and dry runs."""


UNPUBLISHED = "a file"
"""As the model of a row: its weights are on no hub, so that the user names the file."""


@dataclass(frozen=True)
class EncoderChoice:
    """What a user may override of a row; None keeps the row's own value.

    Attributes
    ----------
    model : str
        Weights: a hub id, a local file or folder, `package:<import name>/<path>`, or `random`.
    revision : str
        The commit of a hub id.
    seed : int
        Of random weights.
    pool : {"pooled", "cls", "mean"}
        What of a transformer's last layer is the vector.
    max_len : int
        Most tokens of a text.
    tokens, map, regions : bool
        Whether the row holds the states of the tokens, the last feature map, or region vectors besides the vector.
    output : {"pooled", "logits"}
        The pooled features of a network, or the scores of its classes.
    size : int
        Pixels of a side of the network's input.
    resize : {"crop", "squash"}
        Short side, then the centre; or both sides at once, whatever the picture's shape.
    scale : {"weights", "unit"}
        The statistics that the weights were trained with, or [0, 1].
    decode : {"exact", "fast"}
        Whether a JPEG may be scaled while it is decoded.
    profile : {"srgb"}
        Convert the colours of a picture by the profile in its file, such as Display P3; without it the numbers are
        taken as if they were sRGB.
    variant : str
        A model of the family.
    dim : int
        Width of the vectors, of an encoder that takes any.
    fitted : Path
        Folder of what `fit` wrote, for encoders that are fitted.
    """

    model: str | None = None
    revision: str | None = None
    seed: int | None = None
    pool: Pool | None = None
    max_len: int | None = None
    tokens: bool | None = None
    map: bool | None = None
    regions: bool | None = None
    output: Output | None = None
    size: int | None = None
    resize: Resize | None = None
    scale: Scale | None = None
    decode: Decode | None = None
    profile: Profile | None = None
    variant: str | None = None
    dim: int | None = None
    fitted: Path | None = None

    def made(self) -> dict[str, Any]:
        """Return the choices that were made."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class EncoderRow:
    """One encoder of the catalogue.

    Attributes
    ----------
    kind : {"text", "image", "pair"}
        What of an item it reads; a pair is a text and the picture.
    dim : int
        Width of its vectors with its own model; the built encoder says what another model gives.
    model : str
        Where its own weights are, see `resolve_model`; "none" without weights, "fit" when `fit` makes them.
    input : str
        What of an item it reads, such as "224 x 224, crop" or "64 tokens".
    revision : str or None
        The commit of `model`, when that is a hub id that we pin.
    pooling, normalisation : str
        How its vector comes from the last layer, and how that is scaled.
    licence : str
        Of the weights.
    source : str
        The papers that it is from, by the numbers of docs/papers.md, or that it is ours.
    options : tuple of str
        Fields of `EncoderChoice` that mean something for this encoder; `fitted` is none of them.
    build : callable
        Makes the encoder; raises `InputError` when its files are not there.
    fitted : bool
        Whether it must be fitted on train rows first: its `embed` entry then names an entry of `fit`.
    empty_text : bool
        Whether the empty text has a vector that may stand in for missing texts; for encoders of texts alone.
    """

    name: str
    kind: Kind
    dim: int
    model: str
    input: str
    pooling: str
    normalisation: str
    licence: str
    source: str
    options: tuple[str, ...]
    build: Callable[[EncoderChoice], Encoder]
    fitted: bool = False
    empty_text: bool = False
    revision: str | None = None


def fitted_build(name: str, make: Callable[[Path, EncoderChoice], Encoder]) -> Callable[[EncoderChoice], Encoder]:
    """Return what builds an encoder from the folder that `choice.fitted` names, and says what is missing without."""

    def build(choice: EncoderChoice) -> Encoder:
        if choice.fitted is None:
            raise InputError(
                f"encoder {name!r}: expected the entry of `fit` that made its weights; found none; add an entry with "
                f"`encoder: {name}` to the section `fit`, and name it in the section `embed` by `fit: <entry>`."
            )
        return make(choice.fitted, choice)

    return build
