"""`diptych store`: look at the feature store and check it; repair, gc and sharing commands are not here yet."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from pipeline import paths
from pipeline.console import err, out
from pipeline.settings import load_settings
from pipeline.store_transfer_cli import transfer_app
from stages.errors import InputError
from store import FeatureStore, list_encoders, stats, verify

store_app = typer.Typer(help="Look at the feature store and check it.", no_args_is_help=True)
store_app.add_typer(transfer_app)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _open() -> FeatureStore:
    os.chdir(paths.find_root(Path.cwd()))
    store = load_settings(paths.LOCAL_FILE, os.environ).feature_store("zarr.zip")
    if not store.exists():
        raise InputError(
            f"expected a feature store at {store.address}; found none; correct DIPTYCH_STORE or local.toml, or run "
            "`diptych embed`, which makes it."
        )
    return store


@store_app.command("ls")
def list_(as_json: AsJson = False) -> None:
    """List the encoders in the store with their rows and segments."""
    rows = list_encoders(_open())
    if as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        return
    table = Table(Column("encoder", overflow="fold"), "fingerprint", "dim", "dtype", "segments", "rows", "MB")
    for row in rows:
        size = f"{row.bytes / 1e6:.1f}"
        table.add_row(
            row.encoder, row.fingerprint[:16], str(row.dim), row.dtype, str(row.segments), str(row.rows), size
        )
    out.print(table)


@store_app.command("stats")
def stats_(as_json: AsJson = False) -> None:
    """Print the sums over all encoders."""
    found = asdict(stats(_open()))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    out.print(", ".join(f"{name} {value}" for name, value in found.items()), markup=False)


@store_app.command("verify")
def verify_(
    rows: Annotated[bool, typer.Option("--rows", help="Check every row's digest too, not only whole files.")] = False,
) -> None:
    """Check every segment against its name; exit 1 and name what is damaged."""
    store = _open()
    problems = verify(store, rows=rows)
    for problem in problems:
        inner = f"segments/{problem.segment}" if problem.segment else "encoder.json"
        path = store.backend.shown(f"{problem.encoder_folder}/{inner}")
        err.print(f"{path}: {problem.what}", markup=False, style="red")
    if problems:
        raise typer.Exit(1)
    found = stats(store)
    out.print(f"{found.segments} segments with {found.rows} rows are sound", markup=False)
