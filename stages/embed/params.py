"""The parameters of one `embed` entry, and the encoder and fingerprint that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stages.models.catalog import did_you_mean
from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import RANDOM, Decode, EncoderChoice, EncoderRow, Output, Pool, Resize, Scale
from stages.models.encoders.image.profiles import Profile
from stages.models.encoders.protocol import Encoder, Precision
from store import Fingerprint, VectorType

Dtype = Literal["float16", "float32"]
Missing = Literal["encode_empty", "zero"]
# What `EncoderChoice` calls the same; a row of the catalogue says which of them it has.
_OPTIONS = (
    "model", "revision", "seed", "pool", "max_len", "tokens", "map", "regions", "output", "size", "resize", "scale",
    "decode", "profile", "variant", "dim",
)  # fmt: skip


class EmbedParams(BaseModel):
    """One encoder over one field.

    Attributes
    ----------
    encoder : str
        A name of the catalogue (`diptych catalog encoders`).
    field : str
        A text field of the manifest (such as `caption`), or `image`; for an encoder of pairs the text field, which it
        reads beside the picture.
    fit : str, optional
        For a fitted encoder, the entry of the section `fit` that fits it.
    precision : {"exact", "fast"}
        The numeric contract: cosine to the fp32 reference at least .999999, or .999 and several times as fast where the
        hardware computes in half precision.
    model, revision, seed, pool, max_len, tokens, map, regions, output, size, resize, scale, decode, profile : optional
    variant, dim : optional
        See `EncoderChoice`; the catalogue says which of them an encoder has.
    dtype : {"float16", "float32"}
        Stored type of the vectors.
    missing : {"encode_empty", "zero"}, optional
        What stands in for an absent or failed input; default: the encoding of the empty text, zeros for images and
        pairs, and for encoders to which the empty text says nothing.
    max_failed_share : float
        A run in which more of the items than this fail ends in an error, after the good ones were stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str
    field: str
    fit: str | None = Field(default=None, min_length=1)
    precision: Precision = "exact"
    model: str | None = Field(default=None, min_length=1)
    revision: str | None = Field(default=None, min_length=1)
    seed: int | None = Field(default=None, ge=0)
    pool: Pool | None = None
    max_len: int | None = Field(default=None, ge=3)
    tokens: bool | None = None
    map: bool | None = None
    regions: bool | None = None
    output: Output | None = None
    size: int | None = Field(default=None, ge=32, le=2048)
    resize: Resize | None = None
    scale: Scale | None = None
    decode: Decode | None = None
    profile: Profile | None = None
    variant: str | None = Field(default=None, min_length=1)
    dim: int | None = Field(default=None, ge=2, le=65536)
    dtype: Dtype = "float16"
    missing: Missing | None = None
    max_failed_share: float = Field(default=0.05, ge=0, le=1)

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ENCODERS:
            raise ValueError(f"no encoder {name!r}{did_you_mean(name, ENCODERS)}; see `diptych catalog encoders`")
        return name

    @model_validator(mode="after")
    def _fits_the_encoder(self) -> Self:
        row = self.row
        if (self.field == "image") != (row.kind == "image"):
            expected = "the field 'image'" if row.kind == "image" else "a text field"
            near = did_you_mean(self.field, ["image"]) if row.kind == "image" else ""
            raise ValueError(f"encoder {row.name!r} reads {expected}; found field {self.field!r}{near}")
        for option in _OPTIONS:
            if getattr(self, option) is not None and option not in row.options:
                raise ValueError(f"encoder {row.name!r} has no option {option!r}; it has {list(row.options) or 'none'}")
        if self.missing == "encode_empty" and row.kind != "text":
            raise ValueError(f"missing: encode_empty is for texts; use zero for {row.kind}s")
        if self.seed is not None and self.model != RANDOM:
            raise ValueError("seed: it draws the weights of `model: random`; leave it out with any other model")
        if row.fitted != (self.fit is not None):
            raise ValueError(
                f"encoder {row.name!r} must be fitted: name an entry of the section `fit` by `fit: <name>`"
                if row.fitted
                else f"encoder {row.name!r} is never fitted: leave `fit` out"
            )
        return self

    @property
    def row(self) -> EncoderRow:
        """The encoder's row of the catalogue."""
        return ENCODERS[self.encoder]

    def choice(self, fitted: Path | None = None) -> EncoderChoice:
        """Return what of the row is overridden, and where the encoder was fitted."""
        return EncoderChoice(**{name: getattr(self, name) for name in _OPTIONS}, fitted=fitted)

    @property
    def missing_rule(self) -> Missing:
        """The rule in force for absent inputs, docs/systems/encoders.md#missing-vectors."""
        return self.missing or ("encode_empty" if self.row.empty_text else "zero")


def stored_type(params: EmbedParams, encoder: Encoder) -> VectorType:
    """Return the type in which the store keeps the rows: bytes as bytes, all else as the params say."""
    return "uint8" if encoder.bytewise else params.dtype


def encoder_and_fingerprint(params: EmbedParams, fitted: Path | None = None) -> tuple[Encoder, Fingerprint]:
    """Build the encoder and the record of all that causes its vectors; nothing heavy is loaded.

    Raises
    ------
    InputError
        When the model's files are not there, or do not go with the other choices.
    """
    encoder = build_encoder(params.encoder, params.choice(fitted))
    record = {
        **encoder.identity(),
        "numeric_contract": params.precision,
        "dtype": stored_type(params, encoder),
        **({} if encoder.zero_rows == "refused" else {"zero_rows": "legal"}),
    }
    return encoder, Fingerprint.of(params.encoder, record)
