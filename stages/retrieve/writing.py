"""The form of the ranked results on disk; `run` gives the name and puts the file in place."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.retrieve.params import RetrieveParams


def write_ranked(path: Path, table: pa.Table, params: RetrieveParams) -> None:
    """Write the ranked results, with what made them in the metadata `diptych` of the schema."""
    note = json.dumps(params.model_dump(), ensure_ascii=False, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({b"diptych": note.encode()}), path, compression="zstd")
