"""`diptych store keygen`, `sign`, `export`, `import`: vouch for what is in the store, carry it and bring it back."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline import paths
from pipeline.journal.console import ConsoleProgress, err, out
from pipeline.journal.help import App
from pipeline.machine.settings import load_settings
from pipeline.storage.opening import open_store
from stages.contract import Tracker
from stages.models.catalog import did_you_mean
from store import Signer, TransferReport, export_store, import_store, sign_sound
from store.care.transfer import Told
from store.errors import InputError

sign_app = App()


@sign_app.command("keygen", epilog="Example: diptych store keygen ~/.config/diptych/signing-key")
def keygen(
    file: Annotated[Path, typer.Argument(help="The new file of the private key, outside the project.")],
    principal: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who signs, in one word; user@host when left out.")
    ] = None,
) -> None:
    """Make a private key that only you can read; print the line that makes the team trust it.

    It is an OpenSSH key of ed25519, as `ssh-keygen` makes it: one made there serves as well.
    """
    _refuse_project(file)
    signer = Signer.generate()
    line = signer.allowed_line(_user_and_host() if principal is None else principal)
    signer.save(file)
    err.print(
        f"{file}: a new private key; keep it to yourself, and set DIPTYCH_SIGNING_KEY or `signing_key` in local.toml. "
        "The line below is public: add it to allowed_signers and commit that.",
        markup=False,
    )
    # Plain, never wrapped: it is meant for `>> allowed_signers`.
    typer.echo(line)


@sign_app.command("sign")
def sign(
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="Sign this encoder's segments only.")] = None,
) -> None:
    """Sign every sound segment that you did not sign yet: you vouch for whoever wrote it.

    Each is read and checked down to its rows; that finds damage, not lies. Exit 1 when one was not sound.
    """
    store = open_store()
    known = sorted({log.fingerprint.encoder for log in store.logs()})
    if encoder is not None and encoder not in known:
        raise InputError(
            f"expected an encoder of the store; found {encoder!r}{did_you_mean(encoder, known)}; there are {known}."
        )
    unsound = 0
    for report in sign_sound(store, encoder):
        out.print(f"{report.encoder}: {report.signed} segments signed, {report.kept} were before", markup=False)
        for name, problem in report.unsound:
            err.print(f"{name}: not signed: {problem}", markup=False, style="red")
        unsound += len(report.unsound)
    if unsound:
        raise typer.Exit(1)


def _refuse_project(file: Path) -> None:
    try:
        root = paths.find_root(Path.cwd())
    except InputError:
        return
    if file.expanduser().resolve().is_relative_to(root):
        raise InputError(
            f"expected a file outside the project for a private key; found {file} in {root}, where it would be "
            "committed or copied sooner or later; use ~/.config/diptych/signing-key, for example."
        )


def _user_and_host() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container without a user database
        return f"uid{os.getuid()}@{socket.gethostname()}"


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
