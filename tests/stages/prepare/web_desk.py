"""Runs `prepare` over a published data set in a folder."""

from pathlib import Path
from typing import Any

from stages.contract import SilentProgress
from stages.items import Manifest
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.summary import PrepareSummary


def prepare(
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
