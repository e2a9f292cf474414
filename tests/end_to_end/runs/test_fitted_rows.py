"""From `fit` to the aligned matrix, in one process, for each fitted encoder: vectors, arrays beside them, absences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.embed.audit import AuditSettings, audit
from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, run
from stages.embed.settings import EmbedSettings
from stages.models.encoders.catalog.encoders import ENCODERS
from store import FeatureStore, Matrix, open_matrix
from store.items.manifest import Manifest
from tests.stages.fit.case import Case, make_case, png
from tests.stages.fit.tiny import tiny_bert

FLAT = png(np.full((40, 40, 3), 200, np.uint8))
FITS: dict[str, dict[str, Any]] = {
    "w2v": {"field": "caption", "vector_size": 12},
    "bovw": {"field": "image", "k": 6, "regions": "grid", "grid": (2, 2)},
    "convae": {"field": "image", "size": 8, "hidden": 6, "latent": 4, "epochs": 1},
    "bert-pair-ft": {
        "field": "caption", "epochs": 1, "image_encoder": "colorhist", "words_encoder": "wordvec",
        "words_model": "random", "vse_width": 6, "vse_epochs": 1,
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _tiny_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    FITS["bert-pair-ft"]["model"] = str(tiny_bert(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Scenes of which one test item shows nothing and says nothing, in words that are known."""
    scenes = make_case(tmp_path / "scenes")
    *others, last = scenes.records
    return Case(tmp_path / "case", (*others, replace(last, picture=FLAT, caption="the of 12"))).written()


def embed(case: Case, store: Path, encoder: str, **params: Any) -> Matrix:
    entry = EmbedParams(encoder=encoder, field=FITS[encoder]["field"], fit="it", **params)
    outputs = EmbedOutputs(case.root / "m.zarr.zip", case.root / "card.json", case.root / "failed.csv")
    settings = EmbedSettings(FeatureStore(store, durability="none"), device="cpu")
    run(entry, EmbedInputs(case.root / "manifest.parquet", case.outputs.model), outputs, settings, SilentProgress())
    return open_matrix(outputs.matrix)


@pytest.mark.parametrize("encoder", FITS)
def test_rows_of_a_fitted_encoder_come_out_again_when_they_are_encoded_again(
    case: Case, tmp_path: Path, encoder: str
) -> None:
    case.fit(encoder=encoder, **FITS[encoder])
    embed(case, tmp_path / "store", encoder)
    entry = EmbedParams(encoder=encoder, field=FITS[encoder]["field"], fit="it")
    manifest, store = Manifest.open(case.root / "manifest.parquet"), FeatureStore(tmp_path / "store")
    found = audit(entry, manifest, store, AuditSettings(1.0, device="cpu"), SilentProgress(), case.outputs.model)
    assert found.checked == found.stored > len(case.records) // 2
    assert not found.wrong


@pytest.mark.parametrize("encoder", FITS)
def test_every_item_has_its_row_and_the_same_fit_finds_them_stored(case: Case, tmp_path: Path, encoder: str) -> None:
    case.fit(encoder=encoder, **FITS[encoder])
    matrix = embed(case, tmp_path / "store", encoder)
    rows = matrix.block(0, len(matrix))
    assert len(matrix) == len(case.records)
    assert np.isfinite(rows).all()
    reads = {"text": ("caption",), "image": ("picture",), "pair": ("caption", "picture")}[ENCODERS[encoder].kind]
    known = [all(getattr(each, field) is not None for field in reads) for each in case.records]
    # A text without a known word is as good as absent; a picture without a key point has an empty histogram.
    known[-1] = encoder != "w2v"
    np.testing.assert_array_equal(matrix.present & matrix.ok, known)
    if encoder in {"w2v", "bovw"}:
        assert not rows[-1].any()
    case.fit(encoder=encoder, **FITS[encoder])
    segments = sorted((tmp_path / "store").rglob("segments/*"))
    assert embed(case, tmp_path / "store", encoder).digest == matrix.digest
    assert sorted((tmp_path / "store").rglob("segments/*")) == segments
    case.fit(encoder=encoder, **FITS[encoder], seed=1)
    assert embed(case, tmp_path / "store", encoder).digest != matrix.digest


def test_histograms_of_cells_lie_beside_the_vectors(case: Case, tmp_path: Path) -> None:
    case.fit(encoder="bovw", **FITS["bovw"])
    matrix = embed(case, tmp_path / "store", "bovw", map=True, regions=True)
    maps, regions = matrix.read_array("map", slice(0, 5)), matrix.read_array("regions", slice(0, 5))
    assert (maps.shape, regions.shape) == ((5, 6, 2, 2), (5, 4, 6))
    assert matrix.read_array("region_mask", slice(0, 5)).all()
    np.testing.assert_array_equal(maps.transpose(0, 2, 3, 1).reshape(5, 4, 6), regions)
