"""Read params.yaml once, into frozen typed values; every mistake is found before any is reported."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from pipeline.params.references import reference_mistakes
from pipeline.params.yaml_file import line_of, parse_yaml, read_text
from pipeline.paths import MatrixPaths
from stages.embed.params import EmbedParams
from stages.evaluate.params import EvaluateParams
from stages.fit.params import FitParams
from stages.fuse.params import FuseParams
from stages.models.catalog import did_you_mean
from stages.prepare.params import PrepareParams
from stages.reduce.params import ReduceParams
from stages.report.params import ReportParams
from stages.retrieve.params import RetrieveParams
from stages.split.params import SplitParams
from stages.train.params import TrainParams
from store.errors import InputError

Found = tuple[tuple[Any, ...], str]

_ENTRIES = ("fit", "embed", "reduce", "fuse", "train", "retrieve")


def unplain_values(content: Mapping[Any, Any]) -> Iterator[Found]:
    """Yield where each of them is, and what to write instead.

    DVC stops at such a value whichever stage it is asked for, and where names are not all text it cannot sort them; it
    tells no line.
    """
    for section in _ENTRIES:
        entries = content.get(section)
        for name in entries if isinstance(entries, dict) else ():
            # Others that are no text, such as `true`, are refused by how they are spelt.
            if isinstance(name, int | date) and not isinstance(name, bool):
                yield (section, name), f"expected a name in text, found {_told(name)}"
    yield from _walk(content, ())


def _walk(value: Any, location: tuple[Any, ...]) -> Iterator[Found]:
    if isinstance(value, dict):
        if len(location) > 1 and any(isinstance(key, str) for key in value):
            mixed = (key for key in value if not isinstance(key, str))
            yield from (((*location, key), f"expected names in text alone, found {_told(key)}") for key in mixed)
        for key, inner in value.items():
            yield from _walk(inner, (*location, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _walk(inner, (*location, at))
    elif isinstance(value, date):
        yield location, f"expected text or a number, found {_told(value)}"
    elif not isinstance(value, str | int | float | None):
        found = type(value).__name__
        yield location, f"expected text, numbers, lists or keys with values, found {found}; write it as one of these"


def _told(value: Any) -> str:
    kind = "the date" if isinstance(value, date) else "the number" if isinstance(value, int | float) else "the value"
    return f"{kind} {value}, at which DVC stops; write it in quotes: '{value}'"


# A dot would end the key in DVC's `train.<name>`, a slash would leave the folder.
EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class StoreParams(BaseModel):
    """The format of matrices and segments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["zarr.zip", "h5"]


class Params(BaseModel):
    """The whole of params.yaml: one section per verb, and `store`; none may lack, for dvc.yaml reads them all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: PrepareParams
    split: SplitParams
    fit: dict[EntryName, FitParams]
    embed: dict[EntryName, EmbedParams]
    reduce: dict[EntryName, ReduceParams]
    fuse: dict[EntryName, FuseParams]
    train: dict[EntryName, TrainParams]
    evaluate: EvaluateParams
    retrieve: dict[EntryName, RetrieveParams]
    report: ReportParams
    store: StoreParams

    @property
    def matrices(self) -> MatrixPaths:
        """Where the matrices of this run lie."""
        producers: dict[str, Mapping[str, object]] = {"embed": self.embed, "reduce": self.reduce, "fuse": self.fuse}
        return MatrixPaths(self.store.format, {name: verb for verb, part in producers.items() for name in part})


class _PrepareAlone(BaseModel):
    """The section `prepare` among others that nobody looks at yet."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prepare: PrepareParams


SECTIONS = tuple(Params.model_fields)
VERBS = tuple(name for name in SECTIONS if name != "store")


@dataclass(frozen=True)
class Mistake:
    """One mistake: where it is in the file, and what to do about it."""

    location: tuple[Any, ...]
    message: str


def load_params(path: Path) -> Params:
    """Read and validate a params file.

    Raises
    ------
    InputError
        With every mistake of the file, each with its line, its key and the nearest known word.
    """
    text = read_text(path)
    return validate_params(parse_yaml(text, path), text, path)


def load_prepare(path: Path) -> tuple[PrepareParams, str]:
    """Read the section `prepare`, and tell of mistakes in the others without stopping at them: for a dry run.

    Returns
    -------
    tuple of PrepareParams and str
        The section; the mistakes elsewhere as `load_params` would report them, or "".

    Raises
    ------
    InputError
        With every mistake of the section itself.
    """
    text = read_text(path)
    content = parse_yaml(text, path)
    try:
        prepare = _PrepareAlone.model_validate_json(_as_json(content), strict=True).prepare
    except ValidationError as error:
        raise InputError(_report(list(_from_pydantic(error)), text, path)) from None
    try:
        validate_params(content, text, path)
    except InputError as error:
        return prepare, str(error)
    return prepare, ""


def validate_params(content: Mapping[str, Any], text: str, path: Path) -> Params:
    """Validate the content of a params file; `text` is only used to find lines."""
    found = chain(unplain_values(content), reference_mistakes(content))
    mistakes = [Mistake(location, message) for location, message in found]
    params = None
    try:
        # As JSON, because its strict mode refuses "3" for 3 and true for 1, and still takes lists for tuples.
        params = Params.model_validate_json(_as_json(content), strict=True)
    except ValidationError as error:
        mistakes += _from_pydantic(error)
    if params is None or mistakes:
        raise InputError(_report(mistakes, text, path))
    return params


def _as_json(content: Mapping[str, Any]) -> str:
    """Write the content as JSON; what JSON has no word for (dates, infinities) becomes text and fails as such."""
    plain = {name: _without_infinities(section) for name, section in content.items()}
    return json.dumps(plain, default=str)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _without_infinities(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_infinities(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_key(step: str | int) -> bool:
    """Tell a key of the file from what pydantic adds: the branch of a union, or the word for a key itself."""
    return isinstance(step, int) or not re.fullmatch(r"\[key\]|float|int|str|constrained-\w+|literal\[.*\]", step)


def _from_pydantic(error: ValidationError) -> Iterator[Mistake]:
    for each in error.errors():
        location = tuple(step for step in each["loc"] if _is_key(step))
        kind, found = each["type"], each["input"]
        if kind == "extra_forbidden":
            known = _known_keys(location[:-1])
            message = f"unknown key{did_you_mean(str(location[-1]), known)}; expected one of {sorted(known)}"
        elif kind == "missing":
            message = "expected a value; found none; add the key"
        elif kind in ("dict_type", "model_type", "model_attributes_type"):
            told = "nothing behind the colon" if found is None else _short(found)
            message = f"expected keys with values, found {told}; write {{}} where there are to be none"
        elif kind == "string_pattern_mismatch":
            message = f"expected a name of a-z, 0-9, - and _; found {found!r}; rename it"
        elif kind == "value_error":
            message = str(each["ctx"]["error"])
        else:
            message = f"{each['msg'][0].lower()}{each['msg'][1:]}; found {_short(found)}"
        yield Mistake(location, message)


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the model at `location` has."""
    model: type[BaseModel] | None = Params
    for step in location:
        field = model.model_fields.get(str(step)) if model else None
        if field is not None:
            model = next(_models_in(field.annotation), None)
        # Otherwise the step is an entry's name: its model is the one found at the section.
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _report(mistakes: list[Mistake], text: str, path: Path) -> str:
    unique = {(each.location, each.message): each for each in mistakes}.values()
    lines = sorted((line_of(text, each.location), ".".join(map(str, each.location)), each.message) for each in unique)
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''}"
    return "\n".join([f"{path}: {count}; nothing was run.", *(f"  {path}:{n} {key}: {what}" for n, key, what in lines)])
