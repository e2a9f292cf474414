"""Opens the feature store of the project that one stands in, for the commands of `diptych store`."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import paths
from pipeline.machine.settings import load_settings
from store import FeatureStore
from store.errors import InputError


def open_store() -> FeatureStore:
    """Go to the project's root and open its store.

    Raises
    ------
    InputError
        When there is no project or no store yet.
    """
    os.chdir(paths.find_root(Path.cwd()))
    store = load_settings(paths.LOCAL_FILE, os.environ).feature_store("zarr.zip")
    if not store.exists():
        raise InputError(
            f"expected a feature store at {store.address}; found none; correct DIPTYCH_STORE or local.toml, or run "
            "`diptych embed`, which makes it."
        )
    return store
