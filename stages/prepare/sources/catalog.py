"""The catalogue of sources, as rows of data: `run` opens by it, the command line lists it."""

from __future__ import annotations

from stages.prepare.params import PrepareParams
from stages.prepare.sources.nlvr import NlvrSource
from stages.prepare.sources.protocol import Folders, Source, SourceRow
from stages.prepare.sources.scenes import SceneSource
from stages.prepare.sources.table import TableSource

SOURCES: tuple[SourceRow, ...] = (
    SourceRow(
        "scenes",
        "Pictures composed of emoji with captions that are partly silent, vague or wrong; multi-label.",
        "the vocabulary, stages/prepare/sources/scenes.yaml",
        SceneSource,
    ),
    SourceRow(
        "table",
        "Your own data: a CSV, JSONL or Parquet table whose columns the section `table` names.",
        "the table, or the folder that holds it and its pictures",
        TableSource,
    ),
    SourceRow(
        "nlvr",
        "NLVR version 1: sentences about synthetic pictures, a row for each picture; the class is the sentence.",
        "the folder that holds nlvr/<subset>/ or <subset>/",
        NlvrSource,
    ),
)


def open_source(params: PrepareParams, folders: Folders) -> Source:
    """Open the source that the parameters name; it checks what can be checked before any row is kept.

    Raises
    ------
    InputError
        When the source finds its data wrong.
    """
    row = next(row for row in SOURCES if row.name == params.source)
    return row.open(params, folders)
