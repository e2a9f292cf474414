"""`diptych store export` and `import`: carry vectors to another store or archive and back; `store_cli` has the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline import paths
from pipeline.console import ConsoleProgress, err, out
from pipeline.help import App
from pipeline.settings import load_settings
from pipeline.store_root import open_store
from stages.contract import Tracker
from store import TransferReport, export_store, import_store
from store.transfer import Told

transfer_app = App()
Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="Only this encoder, by the name that `diptych store ls` shows; may be repeated.",
    ),
]


@transfer_app.command(
    "export",
    epilog="Examples: diptych store export s3://team/features; diptych store export --encoder minilm minilm.zip",
)
def export_(
    dest: Annotated[str, typer.Argument(help="Another store (a folder or s3://bucket/folder), or a new file.zip.")],
    encoder: Encoders = None,
) -> None:
    """Copy this project's feature store, verified, to another store or into one .zip file."""
    dest = _absolute(dest)
    source = open_store()
    with _progress(f"export to {dest}") as told:
        report = export_store(source, dest, encoders=encoder, told=told)
    _tell("exported", report, source.address)


@transfer_app.command("import", epilog="Example: diptych store import .diptych/spill")
def import_(
    source: Annotated[str, typer.Argument(help="Another store (a folder or s3://bucket/folder), or a file.zip.")],
    encoder: Encoders = None,
) -> None:
    """Add the vectors of another store or .zip file, verified, to this project's feature store."""
    source = _absolute(source)
    os.chdir(paths.find_root(Path.cwd()))
    target = load_settings(paths.LOCAL_FILE, os.environ).feature_store("zarr.zip")
    with _progress(f"import from {source}") as told:
        report = import_store(source, target, encoders=encoder, told=told)
    if report.segments and target.signing.trusted is not None:
        out.print(
            "The imported segments carry no signature of a trusted key, so lookups leave them out: check where "
            "they come from, then run `diptych store sign`."
        )
    _tell("imported", report, source)


def _absolute(address: str) -> str:
    """Take a path from where the person stands, not from the project's root."""
    return address if "://" in address else str(Path(address).expanduser().absolute())


@contextmanager
def _progress(description: str) -> Iterator[Told]:
    """Open a bar when the number of segments is known, which is after the listing."""
    with ExitStack() as stack:
        bars: list[Tracker] = []

        def told(done: int, total: int) -> None:  # noqa: ARG001 (called once a segment)
            if not bars:
                bars.append(stack.enter_context(ConsoleProgress().track(description, total)))
            bars[0].advance()

        yield told


def _tell(did: str, report: TransferReport, source: str) -> None:
    for problem in report.problems:
        inner = f"segments/{problem.segment}" if problem.segment else "encoder.json"
        folder = repr(problem.encoder_folder)[1:-1]  # a name may hold control characters that a terminal would obey
        err.print(f"{source}: {folder}/{inner}: {problem.what}", markup=False, style="red")
    out.print(
        f"{did} {report.rows} rows in {report.segments} segments of {report.encoders} encoders "
        f"({report.bytes / 1e6:.1f} MB); {report.skipped} segments were there already, "
        f"{len(report.problems)} damaged or in conflict",
        markup=False,
    )
    if report.problems:
        raise typer.Exit(1)
