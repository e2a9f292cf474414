"""Where the paths among the settings lead: variables, `~`, and the project behind a copy that DVC made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from string import Template

from store.errors import InputError

PATHS = (
    "store",
    "cache",
    "signing_key",
    "allowed_signers",
    "spill",
    "failed",
    "dask_tls_ca",
    "dask_tls_cert",
    "dask_tls_key",
    "log_json",
)
"""The settings that name a file or a folder; `store` may be the address of a bucket as well."""
# Tracked by git: whoever trusts a new key, or removes the file, is seen in the history.
_ALLOWED_SIGNERS = Path("allowed_signers")
_BEFORE = Path("trusted-keys.txt")


def expanded(path: str, environment: Mapping[str, str]) -> str:
    """Put the values of variables and the home of a user into a path.

    Raises
    ------
    ValueError
        When it names a variable that is not set, or a home that this system does not know.
    """
    try:
        path = Template(path).substitute(environment)
    except KeyError as error:
        raise ValueError(
            f"expected variables that are set, found ${error.args[0]}, which is not; set it, or write the path in full"
        ) from None
    except ValueError:
        raise ValueError("expected a name behind each $, found none; write $$ for the sign itself") from None
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:
        raise ValueError("expected a user with a home, found none; write the path in full, or set HOME") from None


def allowed_signers(root: Path) -> Path | None:
    """Return the list of keys that a project trusts; None in one that trusts everybody.

    Raises
    ------
    InputError
        When the project has only the list of an older version, which nobody reads any more.
    """
    # lexists: a link that leads nowhere is a mistake to be told, and not the absence of the file.
    if os.path.lexists(root / _ALLOWED_SIGNERS):
        return root / _ALLOWED_SIGNERS
    if os.path.lexists(root / _BEFORE):
        raise InputError(
            f"expected the keys that this project trusts in {root / _ALLOWED_SIGNERS}; found {_BEFORE} of an older "
            "version; convert it as docs/sharing.md says, or remove it to trust everybody who may write to the store."
        )
    return None


def from_original(settings: Mapping[str, str | None], home: Path) -> dict[str, str]:
    """Return the paths of a copy's settings as they lead from the project that it was made from.

    What a run finishes, its store and what it remembers, must outlive the copy; and who is trusted is the project's
    choice of today.
    """
    given = {name: path for name, path in settings.items() if path is not None}
    if "allowed_signers" not in given and (listed := allowed_signers(home)) is not None:
        given["allowed_signers"] = str(listed)
    return {name: path if "://" in path else str(home / path) for name, path in given.items()}
