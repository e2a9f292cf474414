"""`diptych catalog`: every list of names that params.yaml may use, and each entry with its options."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.text import Text

from pipeline import paths
from pipeline.journal.console import PlainTable, folded, out
from pipeline.params.recipes import recipe_rows
from stages.embed.params import EmbedParams
from stages.fit.catalog import FITTERS, FitterRow
from stages.models.catalog import did_you_mean
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.fusions.catalog import FUSIONS
from stages.models.fusions.row import FusionRow
from stages.models.heads.catalog import HEADS, HeadRow
from stages.prepare.sources.catalog import SOURCES
from stages.prepare.sources.protocol import SourceRow
from store.errors import InputError

Row = dict[str, Any]


def rows(kind: str) -> list[Row]:
    """Return the rows of one catalogue, each with at least `name`.

    Raises
    ------
    InputError
        When there is no such catalogue.
    """
    if kind not in _CATALOGS:
        near = did_you_mean(kind, _CATALOGS)
        raise InputError(f"catalog: expected one of {list(_CATALOGS)}; found {kind!r}{near}.")
    return _CATALOGS[kind]()


def print_rows(kind: str, found: list[Row]) -> None:
    """Print a catalogue as a table; options are many, and told of one entry at a time."""
    columns = [name for name in found[0] if name != "options"] if found else ["name"]
    table = PlainTable(*columns)
    for row in found:
        cells = (row[column] for column in columns)
        table.add_row(*(", ".join(map(str, cell)) if isinstance(cell, list) else str(cell) for cell in cells))
    out.print(table)
    if found and "options" in found[0]:
        out.print(f"`diptych catalog {kind} NAME` tells the options of one", markup=False)


def _encoders() -> list[Row]:
    names = ("name", "kind", "dim", "model", "licence", "source")
    return [{**{name: getattr(row, name) for name in names}, "options": list(row.options)} for row in ENCODERS.values()]


def _fitters() -> list[Row]:
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "learns from": "labels" if row.tasks else f"{row.kind}s alone",
            "options": list(row.options.model_fields),
            "source": row.source,
        }
        for row in FITTERS.values()
    ]


def _fusions() -> list[Row]:
    return [
        {
            "name": row.name,
            "section": "fuse or train" if row.vectors else "train",
            "head": "native" if row.native else "any",
            "inputs": _inputs(row),
            "options": list(row.options.model_fields),
            "source": row.source,
        }
        for row in FUSIONS.values()
    ]


def _inputs(row: FusionRow) -> str:
    """Say how many features a fusion takes, and what it reads beside the vectors."""
    fewest, most = row.inputs
    count = f"{fewest}" if most == fewest else f"{fewest} to {most}" if most else f"{fewest} or more"
    places = {0: "first", -1: "last"}
    reads = [f"{' or '.join(names)} of the {places.get(at, str(at + 1))}" for at, names in row.needs.items()]
    return "; ".join([count, *reads])


def _heads() -> list[Row]:
    return [
        {
            "name": row.name,
            "section": " or ".join([*(["train"] if row.tasks else []), *(["retrieve"] if row.ranks else [])]),
            "tasks": list(row.tasks),
            "options": list(row.options.model_fields),
            "source": row.source,
        }
        for row in HEADS.values()
    ]


def _sources() -> list[Row]:
    return [
        {
            "name": row.name,
            "description": row.description,
            "path": row.path_help,
            "options": list(row.options.model_fields),
        }
        for row in SOURCES
    ]


def _recipes() -> list[Row]:
    os.chdir(paths.find_root(Path.cwd()))
    return recipe_rows()


_CATALOGS: dict[str, Callable[[], list[Row]]] = {
    "encoders": _encoders,
    "fitters": _fitters,
    "fusions": _fusions,
    "heads": _heads,
    "sources": _sources,
    "recipes": _recipes,
}


_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_OPTIONED: dict[str, Mapping[str, FitterRow | FusionRow | HeadRow | SourceRow]] = {
    "fitters": FITTERS,
    "fusions": FUSIONS,
    "heads": HEADS,
    "sources": {row.name: row for row in SOURCES},
}


def entry(kind: str, name: str) -> Row:
    """Return one row of a catalogue, its `options` as rows themselves: option, takes, default, meaning.

    Raises
    ------
    InputError
        When there is no such catalogue, or no such name in it.
    """
    known = {row["name"]: row for row in rows(kind)}
    if name not in known:
        near = did_you_mean(name, known)
        raise InputError(f"catalog: expected one of the {kind} {list(known)}; found {name!r}{near}.")
    row = known[name]
    if kind == "encoders":
        return {**row, "options": _options(EmbedParams, row["options"], EncoderChoice)}
    if kind in _OPTIONED:
        options: type[BaseModel] = _OPTIONED[kind][name].options
        about = " ".join(_sections(options)[0].split())
        return {**row, "about": about, "options": _options(options, list(options.model_fields), options)}
    return row


def print_entry(found: Row) -> None:
    """Print one row as lines, its options with what they mean below them."""
    for name, value in found.items():
        if name != "options":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            _tell(f"{name}: {shown}")
    for option in found.get("options", []):
        default = "" if option["default"] is None else f", by default {_yaml(option['default'])}"
        out.print()
        _tell(f"{option['option']}: {option['takes']}{default}", bold=len(option["option"]))
        if option["meaning"]:
            _tell(option["meaning"], indent=4)


def _tell(text: str, indent: int = 0, bold: int = 0) -> None:
    """Print a text folded between words, its first letters in bold."""
    for at, line in enumerate(folded(out, text, out.width - indent)):
        said = Text(" " * indent + line)
        if not at:
            said.stylize("bold", 0, bold)
        out.print(said)


def _yaml(value: object) -> str:
    """Write a default as one would write it into params.yaml."""
    return value if isinstance(value, str) else json.dumps(value)


def _options(model: type[BaseModel], names: list[str], described: type) -> list[Row]:
    schema = model.model_json_schema()["properties"]
    meanings = _meanings(described)
    return [
        {
            "option": name,
            "takes": _takes(schema[name]),
            "default": schema[name].get("default"),
            "meaning": meanings.get(name, ""),
        }
        for name in names
    ]


def _takes(schema: dict[str, Any]) -> str:
    """Say in words what a JSON schema admits."""
    if "anyOf" in schema:
        return " or ".join(_takes(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return " or ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_takes(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"names with a {_takes(schema['additionalProperties'])} each"
    bounds = " and ".join(f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema)
    return f"{schema.get('type', 'any value')} {bounds}".strip()


def _meanings(described: type) -> dict[str, str]:
    """Read what a class and its bases say of their attributes, in numpy's form; a class has the last word."""
    found: dict[str, str] = {}
    for each in reversed(described.__mro__):
        for names, text in re.findall(r"^(\w[\w, ]*)(?: : .*)?\n((?:    .*\n?)+)", _sections(each)[1], re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _sections(described: type) -> tuple[str, str]:
    """Return what a class's own docstring says, and what it says of the attributes."""
    text, _, attributes = inspect.cleandoc(described.__dict__.get("__doc__") or "").partition(
        "Attributes\n----------\n"
    )
    return text, attributes
