"""`diptych store keygen` and `sign`: make a key, and vouch with it for what is in the store."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from pipeline import paths
from pipeline.console import err, out
from pipeline.help import App
from pipeline.store_root import open_store
from stages.errors import InputError
from stages.nearest import did_you_mean
from store import Signer, sign_sound

sign_app = App()


@sign_app.command("keygen", epilog="Example: diptych store keygen ~/.config/diptych/signing-key >> allowed_signers")
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
