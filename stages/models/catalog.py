"""What all lists of names share: the options of what an entry of params.yaml names, and the nearest known name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with the nearest known word, or "" when none is near."""
    nearest = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
