"""The parameters of one `embed` entry: what decides a vector, and nothing of the machine that computes it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stages.encoders.catalog import ENCODERS, EncoderChoice, EncoderRow
from stages.encoders.text.transformer import Pool
from stages.nearest import did_you_mean

Dtype = Literal["float16", "float32"]
Missing = Literal["encode_empty", "zero"]


class EmbedParams(BaseModel):
    """One encoder over one field.

    Attributes
    ----------
    encoder : str
        A name of the catalogue (`diptych catalog encoders`).
    field : str
        A text field of the manifest (such as `caption`), or `image`.
    model : str, optional
        Other weights: `package:<import name>/<path>`, or a local file or folder.
    pool : {"pooled", "cls", "mean"}, optional
        What of a transformer's last layer is the vector.
    max_len : int, optional
        Most tokens of a text, its two special ones included.
    dtype : {"float16", "float32"}
        Stored type of the vectors.
    missing : {"encode_empty", "zero"}, optional
        What stands in for an absent or failed input; default: the encoding of the empty text, zeros for images.
    max_failed_share : float
        A run in which more of the items than this fail ends in an error, after the good ones were stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str
    field: str
    model: str | None = Field(default=None, min_length=1)
    pool: Pool | None = None
    max_len: int | None = Field(default=None, ge=3)
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
        for option in ("model", "pool", "max_len"):
            if getattr(self, option) is not None and option not in row.options:
                raise ValueError(f"encoder {row.name!r} has no option {option!r}; it has {list(row.options) or 'none'}")
        if self.missing == "encode_empty" and row.kind == "image":
            raise ValueError("missing: encode_empty is for texts; use zero for images")
        return self

    @property
    def row(self) -> EncoderRow:
        """The encoder's row of the catalogue."""
        return ENCODERS[self.encoder]

    @property
    def choice(self) -> EncoderChoice:
        """What of the row is overridden."""
        return EncoderChoice(self.model, self.pool, self.max_len)

    @property
    def missing_rule(self) -> Missing:
        """The rule in force for absent inputs, systems.md 6.6."""
        return self.missing or ("zero" if self.row.kind == "image" else "encode_empty")
