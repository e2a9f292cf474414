"""Which fields a feature encodes: told from the params, through reductions, and not at all behind a fusion."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.sections import Params
from pipeline.wiring import trained_inputs
from tests.pipeline.project import SMALL
from tests.rules.cards import write_card

PAIR = {"encoder": "bert-pair-ft", "field": "caption", "fit": "pair"}


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: list[str]) -> Any:
    params = copy.deepcopy(SMALL)
    params["fit"] = {"pair": {"encoder": "bert-pair-ft", "field": "caption"}}
    params["embed"]["pair"] = PAIR
    params["reduce"]["small"] = {"features": "image-colors", "method": "pca", "components": 2}
    params["train"] = {"x": {"features": features, "fusion": "concat", "head": "knn"}}
    for verb, names in (("embed", params["embed"]), ("reduce", params["reduce"]), ("fuse", params["fuse"])):
        for name in names:
            write_card(tmp_path / "metrics" / verb / f"{name}.json", {"digest": f"of {name}"})
    monkeypatch.chdir(tmp_path)
    return trained_inputs(Params.model_validate(params), "x")


def test_fields_come_from_embed_through_reductions_and_pairs_have_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(tmp_path, monkeypatch, ["caption-hash", "small", "pair"])
    assert found.fields == (("caption",), ("image",), ("caption", "image"))
    assert found.digests == ("of caption-hash", "of small", "of pair")
    assert [str(path) for path in found.matrices] == [
        "data/embed/caption-hash.zarr.zip", "data/reduce/small.zarr.zip", "data/embed/pair.zarr.zip"
    ]  # fmt: skip
    assert (str(found.model), found.fused) == ("models/train/x", ())


def test_a_fused_matrix_is_named_as_one_that_nothing_can_be_taken_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(tmp_path, monkeypatch, ["both", "caption-hash"])
    assert (found.fields, found.fused) == (((), ("caption",)), ("both",))
