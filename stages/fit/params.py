"""The parameters of one `fit` entry; an entry names a fitted encoder, and this version has none yet."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator


class FitParams(BaseModel):
    """One encoder to be fitted on the train rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        raise ValueError(
            f"no fitted encoder {name!r}: this version has frozen encoders only (`diptych catalog encoders`); "
            "leave `fit: {}` and name the encoder in the section `embed`"
        )
