"""`diptych search` with the encoders of the default run: a query is found where its stored row lies."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.verbs import run_verb
from tests.pipeline.project import ROOT, make_project
from tests.pipeline.search.search_case import find, ids

_VERBS = ("prepare", "split", "embed", "reduce", "fuse", "retrieve")
_ASKED = 2


@pytest.mark.slow
def test_items_encoded_anew_rank_as_retrieve_ranked_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["prepare"]["scenes"]["items"] = 120
    params["reduce"] = {name: {**entry, "components": 16} for name, entry in params["reduce"].items()}
    params["retrieve"] |= {"by-fused": {"features": ["both"], "k": [1, 5, 10]}}
    params["retrieve"] |= {"by-reduced": {"features": ["caption-pca", "image-pca"], "k": [1, 5, 10]}}
    folder = make_project(tmp_path / "project", params)
    monkeypatch.chdir(folder)
    for verb in _VERBS:
        run_verb(verb, None)
    items = {row["id"]: row for row in pq.read_table("data/prepare/manifest.parquet").to_pylist()}
    for system in params["retrieve"]:
        table = pq.read_table(f"data/retrieve/{system}.parquet").to_pylist()
        asked = [each for each in dict.fromkeys(row["query"] for row in table) if items[each]["text.caption"]][:_ASKED]
        for query in asked:
            # Other bytes of the same pixels, other bytes of the same words: the models have to see them anew.
            stream = io.BytesIO()
            Image.open(folder / "data/prepare" / items[query]["image"]).save(stream, "PNG")
            (folder / "query.png").write_bytes(stream.getvalue())
            text = None if system == "by-image" else f"{items[query]['text.caption']} "
            found = find(folder / "query.png", text, system, k=10, part="train")
            assert not any("stored" in note for note in found.notes)
            expected = [row for row in table if row["query"] == query]
            assert ids(found) == [row["id"] for row in expected]
            distances = [row["distance"] for row in expected]
            assert [hit.distance for hit in found.hits] == pytest.approx(distances, rel=2e-3)
