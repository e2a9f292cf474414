"""The parameters of one `fit` entry: flat, so that `dvc exp run -S fit.words.epochs=10` reaches every option."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from stages.fit.catalog import FITTERS, FitterRow
from stages.models.catalog import Mistake, Options, Seed, did_you_mean, mistake, option_mistakes, report_all
from store.items.records import IMAGE


class FitParams(BaseModel):
    """One encoder to be fitted on the train rows; every further key is an option of that encoder.

    Attributes
    ----------
    encoder : str
        A fitted encoder of the catalogue (`diptych catalog encoders`).
    field : str
        A text field of the manifest (such as `caption`), or `image`; for an encoder of pairs the text field, which it
        reads beside the picture.
    seed : int
        Of every draw.
    transductive : bool
        Fit on all rows, those of dev and test too: what some published tables did. It is a leak, and is reported.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    encoder: str
    field: str
    seed: Seed = 0
    transductive: bool = False

    @model_validator(mode="wrap")
    @classmethod
    def _report_all(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Find the mistakes in names and options even where a field is wrong too."""
        return report_all(cls, values, handler, [*_mistakes(values)] if isinstance(values, dict) else [])

    @property
    def row(self) -> FitterRow:
        """The fitter's row of the catalogue."""
        return FITTERS[self.encoder]

    @property
    def options(self) -> Options:
        """The options of the encoder, those left to their defaults too."""
        return self.row.options(**(self.model_extra or {}))


def _mistakes(values: dict[str, Any]) -> Iterator[Mistake]:
    encoder, field = values.get("encoder"), values.get("field")
    if not isinstance(encoder, str):
        return
    if encoder not in FITTERS:
        near = did_you_mean(encoder, FITTERS)
        yield mistake(
            "encoder",
            encoder,
            f"no fitted encoder {encoder!r}{near}; there are {list(FITTERS)}; a frozen encoder needs no fit: "
            "name it in the section `embed`",
        )
        return
    row = FITTERS[encoder]
    if isinstance(field, str) and (field == IMAGE) != (row.kind == "image"):
        expected = "the field 'image'" if row.kind == "image" else "a text field"
        near = did_you_mean(field, [IMAGE]) if row.kind == "image" else ""
        yield mistake("field", field, f"encoder {encoder!r} reads {expected}; found field {field!r}{near}")
    known = [*row.options.model_fields, *FitParams.model_fields]
    for name, value in values.items():
        if name not in known:
            near = did_you_mean(str(name), known)
            takes = f"encoder {encoder!r} takes {sorted(row.options.model_fields)}"
            yield mistake(name, value, f"unknown key {name!r}{near}; {takes}")
    yield from option_mistakes(values, row.options)
