"""Gathers what `report` is told beyond the files of the run: settings, versions, the commit, the store, the times."""

from __future__ import annotations

import logging
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline import paths
from pipeline.journal.times import read_phases, read_seconds
from pipeline.machine.settings import Settings
from pipeline.params.sections import VERBS, Params
from pipeline.params.yaml_file import read_yaml
from stages.models.fusions.catalog import option_keys
from stages.report.inputs import Provenance, ReportInputs, Stored, Timed
from store import list_encoders
from store.errors import InputError, RunError, StoreError

PACKAGES = ("diptych", "torch", "scikit-learn", "numpy", "transformers", "pyarrow", "zarr", "dvc")
_NAMED = ("fit", "embed", "reduce", "fuse", "train", "retrieve")
_MEASURED = ("fit", "embed", "reduce", "fuse", "evaluate", "retrieve")
_LOG = logging.getLogger("diptych.report")
_TRACKED = ("pipeline", "stages", "store", "recipes", "params.yaml", "dvc.yaml", "pyproject.toml", "constraints.txt")


def report_inputs(params: Params, settings: Settings) -> ReportInputs:
    """Return all that the report reads and is told.

    Raises
    ------
    InputError
        When the file of published figures is not there.
    """
    asked = asked_settings(params)
    published = params.report.published
    _tell_of_leftovers(asked)
    return ReportInputs(
        manifest=paths.MANIFEST,
        split=paths.PARTS,
        metrics=paths.METRICS,
        data=paths.DATA,
        entries={**{verb: tuple(asked[verb]) for verb in _NAMED}, "evaluate": tuple(params.train)},
        published=None if published is None else read_yaml(Path(published)),
        asked=asked,
        defaults={"train": {name: _defaults(params, name) for name in params.train}},
        provenance=provenance(params, settings),
    )


def _tell_of_leftovers(asked: Mapping[str, Mapping[str, object]]) -> None:
    """Name files that no entry of params.yaml makes: they are not read, but DVC counts them among what was read."""
    entries = {**asked, "evaluate": asked["train"]}
    folders = [paths.METRICS / verb for verb in _MEASURED] + [paths.DATA / verb for verb in ("train", "evaluate")]
    left = [
        str(path)
        for folder in folders
        for path in sorted(folder.glob("[!.]*"))
        if path.name.partition(".")[0] not in entries[folder.name]
    ]
    if left:
        _LOG.warning(
            "of no entry of params.yaml, and not read: %s; remove them, or a clone that lacks them reports again",
            ", ".join(left),
        )


def asked_settings(params: Params) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each verb and entry what params.yaml says of it; a verb without entries has one of the name ""."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for verb in VERBS:
        section = getattr(params, verb)
        entries: Mapping[str, BaseModel] = section if verb in _NAMED else {"": section}
        found[verb] = {name: entry.model_dump(mode="json", exclude_unset=True) for name, entry in entries.items()}
    # Seeds count even where nobody wrote them down.
    for verb in ("prepare", "split", "report"):
        found[verb][""]["seed"] = getattr(params, verb).seed
    for name, entry in params.train.items():
        found["train"][name]["seeds"] = entry.seeds
    return found


def _defaults(params: Params, name: str) -> dict[str, Any]:
    """Return the options that an experiment has without saying so, by the keys that would say them."""
    entry = params.train[name]
    recipe = entry.recipe
    options = (recipe.fusion_options, recipe.head_options)
    known = {"scale": entry.scale}
    for keys, chosen in zip(option_keys(entry.fusion, entry.head), options, strict=False):
        if chosen is not None:
            known |= dict(keys.written(chosen))
    return known


def provenance(params: Params, settings: Settings) -> Provenance:
    """Describe the machine and the moment; what cannot be found out is left out, and nothing here fails a report."""
    store, unreachable = _stored(params, settings)
    return Provenance(versions(), *commit(Path.cwd()), store, unreachable, times(params))


def versions() -> dict[str, str]:
    """Return the versions of what computes, from what the packages say of themselves: none is imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit(folder: Path) -> tuple[str, bool]:
    """Return the commit of a working tree, and whether code or parameters differ from it; "" without git."""
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return "", False
    there = [name for name in _TRACKED if (folder / name).exists()]
    return head, bool(_git(folder, "status", "--porcelain", "--", *there))


def _git(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 (our own words)
            ["git", "--no-optional-locks", *command],  # noqa: S607 (the git of whoever runs this)
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _stored(params: Params, settings: Settings) -> tuple[list[Stored] | None, str]:
    try:
        found = list_encoders(settings.feature_store(params.store.format))
    except (OSError, StoreError, InputError, RunError) as error:
        return None, type(error).__name__  # the message may name hosts and folders
    return [
        Stored(one.encoder, one.fingerprint, one.dtype, one.dim, one.segments, one.rows, one.bytes) for one in found
    ], ""


def times(params: Params) -> list[Timed]:
    """Return how long each entry last took here, in the order of a run; the report itself is still at work."""
    found = []
    for verb in VERBS[:-1]:
        section = params.train if verb == "evaluate" else getattr(params, verb)
        for name in section if verb in (*_NAMED, "evaluate") else [""]:
            seconds = read_seconds(verb, name)
            if seconds is not None:
                found.append(Timed(verb, name, seconds, read_phases(name) if verb == "embed" else {}))
    return found
