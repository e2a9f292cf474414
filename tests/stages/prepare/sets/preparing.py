"""Runs `prepare` over a published data set in a folder, reads what came of it, or says how it was refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.summary import PrepareSummary
from store.errors import InputError
from store.items.manifest import Manifest


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


def prepare_into(
    source: str, folder: Path, out: Path, cache: Path | None = None, **params: Any
) -> tuple[Manifest, PrepareSummary]:
    asked = PrepareParams.model_validate({"source": source, "path": str(folder), **params})
    summary = run(asked, PrepareOutputs(out, cache), SilentProgress())
    return Manifest.open(out / "manifest.parquet"), summary


def rows_of(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return what the manifest says of each id."""
    columns: dict[str, list[Any]] = {name: manifest.texts(name) for name in manifest.info.fields}
    columns |= {name: manifest.meta(name) for name in manifest.info.meta}
    columns |= {"image": manifest.images(), "group": manifest.groups(), "part": manifest.parts()}
    if manifest.info.task == "multiclass":
        columns["class"] = [manifest.info.classes[index] for index in manifest.class_index()]
    return {
        identity: {name: values[row] for name, values in columns.items()} for row, identity in enumerate(manifest.ids())
    }
