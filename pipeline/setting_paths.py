"""Where the paths among the settings lead: variables, `~`, and the project behind a copy that DVC made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from string import Template

PATHS = (
    "store",
    "cache",
    "signing_key",
    "trusted_keys",
    "spill",
    "failed",
    "dask_tls_ca",
    "dask_tls_cert",
    "dask_tls_key",
    "log_json",
)
"""The settings that name a file or a folder; `store` may be the address of a bucket as well."""
# Tracked by git: whoever trusts a new key, or removes the file, is seen in the history.
TRUSTED_KEYS = Path("trusted-keys.txt")


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


def from_original(settings: Mapping[str, str | None], home: Path) -> dict[str, str]:
    """Return the paths of a copy's settings as they lead from the project that it was made from.

    What a run finishes, its store and what it remembers, must outlive the copy; and who is trusted is the project's
    choice of today.
    """
    given = {name: path for name, path in settings.items() if path is not None}
    if "trusted_keys" not in given and os.path.lexists(home / TRUSTED_KEYS):
        given["trusted_keys"] = str(TRUSTED_KEYS)
    return {name: path if "://" in path else str(home / path) for name, path in given.items()}
