"""The catalogue of sources, as rows of data: `run` opens by it, the command line lists it."""

from __future__ import annotations

from stages.prepare.params import PrepareParams, ScenesParams
from stages.prepare.sections import (
    CocoParams,
    GoodreadsParams,
    MmfrbParams,
    NlvrParams,
    VisualGenomeParams,
    WebvisionParams,
)
from stages.prepare.sources.protocol import Folders, Source, SourceRow
from stages.prepare.sources.published.coco.source import CocoSource
from stages.prepare.sources.published.goodreads.source import GoodreadsSource
from stages.prepare.sources.published.mmfrb import MmfrbSource
from stages.prepare.sources.published.nlvr import NlvrSource
from stages.prepare.sources.published.visual_genome.source import VisualGenomeSource
from stages.prepare.sources.published.webvision.source import WebvisionSource
from stages.prepare.sources.scenes.source import SceneSource
from stages.prepare.sources.table.params import TableParams
from stages.prepare.sources.table.source import TableSource

SOURCES: tuple[SourceRow, ...] = (
    SourceRow(
        "scenes",
        "Pictures composed of emoji with captions that are partly silent, vague or wrong; multi-label.",
        "the vocabulary, stages/prepare/sources/scenes.yaml",
        SceneSource,
        ScenesParams,
    ),
    SourceRow(
        "table",
        "Your own data: a CSV, JSONL or Parquet table whose columns the section `table` names.",
        "the table, or the folder that holds it and its pictures",
        TableSource,
        TableParams,
    ),
    SourceRow(
        "coco",
        "A folder in the layout of COCO: pictures with captions and instances of categories; multi-label.",
        "the folder that holds annotations/ and the pictures, or annotations/ alone beside `root`",
        CocoSource,
        CocoParams,
    ),
    SourceRow(
        "webvision",
        "WebVision 1.0 or 2.0: pictures of a search engine with title and description; one class of 5000.",
        "the folder of the lists",
        WebvisionSource,
        WebvisionParams,
    ),
    SourceRow(
        "goodreads",
        "Goodreads: covers, titles and descriptions; fiction or not, genre, or rating.",
        "the folder of the dumps, or of books_with_genres.csv",
        GoodreadsSource,
        GoodreadsParams,
    ),
    SourceRow(
        "nlvr",
        "NLVR version 1: sentences about synthetic pictures, a row for each picture; the class is the sentence.",
        "the folder that holds nlvr/<subset>/ or <subset>/",
        NlvrSource,
        NlvrParams,
    ),
    SourceRow(
        "visual_genome",
        "Visual Genome: region phrases as the caption, the most frequent object as the class.",
        "the folder of image_data.json and the pictures",
        VisualGenomeSource,
        VisualGenomeParams,
    ),
    SourceRow(
        "mmfrb",
        "Products as JSON lines: picture, caption, category, items and landmarks.",
        "the JSONL file, or the folder that holds it and its pictures",
        MmfrbSource,
        MmfrbParams,
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
