"""Runs `prepare` over a data set in a folder, and says how it was refused where it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.errors import InputError
from stages.items import Manifest
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.summary import PrepareSummary


def prepare(source: str, folder: Path, **params: Any) -> tuple[Manifest, PrepareSummary]:
    """Prepare into `out/prepare` beside the folder."""
    out = folder.parent / "out" / "prepare"
    asked = PrepareParams.model_validate({"source": source, "path": str(folder), **params})
    summary = run(asked, PrepareOutputs(out), SilentProgress())
    return Manifest.open(out / "manifest.parquet"), summary


def refusal(source: str, folder: Path, **params: Any) -> str:
    """Return the message with which the data set is refused."""
    with pytest.raises(InputError) as caught:
        prepare(source, folder, **params)
    return str(caught.value)


def edit(path: Path, change: Any) -> None:
    """Let a function change the content of a JSON file."""
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
