"""`diptych catalog`: every list of names that params.yaml may use, as data rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.console import out
from pipeline.recipes import recipe_rows
from pipeline.tables import PlainTable
from stages.encoders.catalog import ENCODERS
from stages.errors import InputError
from stages.fit.catalog import FITTERS
from stages.fusions.catalog import FUSIONS
from stages.fusions.row import FusionRow
from stages.heads.catalog import HEADS
from stages.nearest import did_you_mean
from stages.prepare.sources.catalog import SOURCES

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
