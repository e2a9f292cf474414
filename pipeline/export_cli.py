"""The commands `diptych export`; `export` does the work. `diptych store export` carries a store, not a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.console import out
from pipeline.help import App
from pipeline.verbs import Session

export_app = App(help="Write what a run made for other tools.", no_args_is_help=True)


@export_app.callback()
def common() -> None:
    """Write what a run made for other tools."""


@export_app.command(
    epilog="Examples: diptych export matrix caption-minilm vectors.parquet; diptych export matrix both b.npz"
)
def matrix(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An entry of embed, reduce or fuse.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="What to write: .parquet, .npy or .npz.")],
    half: Annotated[
        bool, typer.Option("--half", help="Half floats (float16): half the size, and not every tool knows them.")
    ] = False,
) -> None:
    """Write one matrix as Parquet, NPY or NPZ, in the order of the manifest.

    Parquet has the columns id, present, ok and vector; NPZ the arrays vectors, ids, present and ok; NPY the vectors
    alone. Rows that are not both present and ok hold the missing vector.
    """
    from pipeline.export import export_matrix  # pyarrow and the store, which a mere --help has no use for

    target = target.expanduser().absolute()  # before the session goes to the project's root
    session = Session.open()
    found = export_matrix(name, target, session.params, session.progress, half=half)
    out.print(f"{name}: {len(found)} rows of {found.dim} numbers in {target}", markup=False)
