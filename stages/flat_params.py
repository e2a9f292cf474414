"""Sections of params.yaml whose further keys are options of something they name: `fit` and `train` check theirs here.

Such a section stays flat, so that `dvc exp run -S train.attention.lr=0.01` reaches every option.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy, torch and scikit-learn all take
Width = Annotated[int, Field(ge=1)]
Mistake = Mapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


class Options(BaseModel):
    """Base of all option rows: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def mistake(key: str, value: Any, message: str) -> InitErrorDetails:
    """Return one mistake at a key, in pydantic's terms."""
    error = PydanticCustomError("value_error", "{error}", {"error": message})
    return InitErrorDetails(type=error, loc=(key,), input=value)


def chosen(values: Mapping[str, Any], options: type[BaseModel]) -> dict[str, Any]:
    """Return those of the values that are options of this type."""
    return {name: value for name, value in values.items() if name in options.model_fields}


def option_mistakes(values: Mapping[str, Any], options: type[BaseModel]) -> Iterator[Mistake]:
    """Yield the mistakes in the values that are options of this type; types are strict, as in the whole file."""
    try:
        options.model_validate_json(json.dumps(chosen(values, options), default=str), strict=True)
    except ValidationError as error:
        yield from cast("list[Mistake]", error.errors())


def report_all(
    model: type[BaseModel], values: Any, handler: ModelWrapValidatorHandler[Model], mistakes: Sequence[Mistake]
) -> Model:
    """Validate, and report the mistakes in fields together with those that were found beyond them."""
    try:
        params = handler(values)
    except ValidationError as error:
        raise _merged(model, [*error.errors(), *mistakes]) from None
    if mistakes:
        raise _merged(model, mistakes)
    return params


def _merged(model: type[BaseModel], mistakes: Sequence[Mistake]) -> ValidationError:
    kept = ("type", "loc", "input", "ctx")
    lines = [cast("InitErrorDetails", {name: each[name] for name in kept if name in each}) for each in mistakes]
    return ValidationError.from_exception_data(model.__name__, lines)
