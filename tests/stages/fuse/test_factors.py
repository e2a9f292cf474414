"""The factorising fusions behind the stage `fuse`: learnt from train rows alone, or from all where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file

from stages.contract import SilentProgress
from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run
from stages.models.training.checkpoints import TrainingSettings
from store import open_matrix
from store.errors import InputError
from tests.rules.cards import read_card
from tests.stages.models.fusions.factors.case import TINY, build, inputs, joined, widths

EVERY = pytest.mark.parametrize("name", TINY)
PARTS = np.array(["train", "train", "train", "dev", "test"] * 6)
TRAIN = PARTS == "train"


@pytest.fixture(autouse=True)
def written(dataset: Any) -> None:
    dataset.write("multiclass", np.arange(30) % 3, list(PARTS))


def fuse(dataset: Any, name: str, blocks: dict[str, np.ndarray], *, usable: Any = None, **more: Any) -> FuseOutputs:
    paths = [dataset.matrix(key, each, usable=usable if key == "v" else None) for key, each in blocks.items()]
    outputs = FuseOutputs(dataset.root / "f.zarr.zip", dataset.root / "f.json", dataset.root / "models" / "f")
    given = {"fusion": name.partition("-")[0], "features": list(blocks), **TINY[name][1], **more}
    sources = FuseInputs(dataset.manifest, dataset.split, tuple(paths))
    run(FuseParams(**given), sources, outputs, TrainingSettings("cpu"), SilentProgress())
    return outputs


def learnt(outputs: FuseOutputs) -> bytes:
    """Return what the fusion itself wrote."""
    (path,) = [each for each in outputs.model.iterdir() if each.name != "scaler.safetensors"]
    return path.read_bytes()


def noise(name: str, blocks: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    other = inputs(name, len(rows), seed=9)
    return {key: np.where(rows[:, None], other[key], each) for key, each in blocks.items()}


@EVERY
def test_each_row_is_fused_from_its_own_text_and_picture(dataset: Any, name: str) -> None:
    blocks = inputs(name, 30)
    outputs = fuse(dataset, name, blocks)
    fitted = build(name, widths(blocks)).fit(joined({key: each[TRAIN] for key, each in blocks.items()}))
    made = open_matrix(outputs.matrix)
    assert list(made.ids) == dataset.ids(30)
    np.testing.assert_array_equal(made.rows(np.arange(30)), fitted.transform(joined(blocks)))
    assert read_card(outputs.card)["transductive"] is False


@EVERY
def test_only_train_rows_are_learnt_from(dataset: Any, name: str) -> None:
    blocks = inputs(name, 30)
    before = learnt(fuse(dataset, name, blocks))
    outputs = fuse(dataset, name, noise(name, blocks, ~TRAIN))
    assert learnt(outputs) == before
    assert learnt(fuse(dataset, name, noise(name, blocks, np.arange(30) == 0))) != before


@EVERY
def test_a_test_row_stays_where_it_is_when_other_test_rows_change(dataset: Any, name: str) -> None:
    blocks = inputs(name, 30)
    rows = np.arange(30)
    before = open_matrix(fuse(dataset, name, blocks).matrix).rows(rows)
    changed = (PARTS == "test") & (rows > 4)
    after = open_matrix(fuse(dataset, name, noise(name, blocks, changed)).matrix).rows(rows)
    np.testing.assert_array_equal(after[~changed], before[~changed])
    assert (after[changed] != before[changed]).any(axis=1).all()


@EVERY
def test_all_rows_are_learnt_from_where_that_is_asked_for(dataset: Any, name: str) -> None:
    blocks = inputs(name, 30)
    outputs = fuse(dataset, name, blocks, transductive=True)
    before = learnt(outputs)
    assert read_card(outputs.card)["transductive"] is True
    if name != "cmf":  # the column encoders read as many rows as were learnt from
        (path,) = [each for each in outputs.model.iterdir() if each.name != "scaler.safetensors"]
        inner = "columns.0.encoder.0.weight" if name.startswith("mf") else "column_encoder.0.weight"
        assert load_file(path)[inner].shape[1] == 30
    whole = build(name, widths(blocks)).fit(joined(blocks))
    np.testing.assert_array_equal(open_matrix(outputs.matrix).rows(np.arange(30)), whole.transform(joined(blocks)))
    assert learnt(fuse(dataset, name, noise(name, blocks, PARTS == "test"), transductive=True)) != before


@EVERY
def test_rows_without_a_picture_are_fused_from_the_missing_vector(dataset: Any, name: str) -> None:
    blocks = inputs(name, 30)
    usable = np.arange(30) % 4 > 0
    made = open_matrix(fuse(dataset, name, blocks, usable=usable).matrix)
    absent = {**blocks, "v": np.where(usable[:, None], blocks["v"], 0).astype(np.float32)}
    fitted = build(name, widths(blocks)).fit(joined({key: each[TRAIN] for key, each in absent.items()}))
    np.testing.assert_array_equal(made.rows(np.arange(30)), fitted.transform(joined(absent)))
    assert made.usable.all()


def test_pixels_of_other_items_are_refused(dataset: Any, tmp_path: Path) -> None:
    blocks = inputs("mmeda1", 30)
    paths = (dataset.matrix("t", blocks["t"]), dataset.matrix("v", blocks["v"], ids=dataset.ids(30)[::-1]))
    outputs = FuseOutputs(tmp_path / "f.zarr.zip", tmp_path / "f.json", tmp_path / "models")
    params = FuseParams(fusion="mmeda1", features=["t", "v"])
    with pytest.raises(InputError, match="expected the 30 items of the manifest in its order"):
        run(
            params,
            FuseInputs(dataset.manifest, dataset.split, paths),
            outputs,
            TrainingSettings("cpu"),
            SilentProgress(),
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusion": "mf", "features": ["t"]}, "fusion 'mf' joins at least 2 features; found 1"),
        ({"fusion": "mmeda1", "features": ["t", "u", "v"]}, "fusion 'mmeda1' joins at most 2 features; found 3"),
        ({"fusion": "mf", "step": "row"}, "'epoch' or 'batch'"),
        ({"fusion": "mmeda1", "decode_image_from": "joint"}, "unknown key 'decode_image_from'"),
        ({"fusion": "mmeda2", "decode_image_from": "ae1"}, "'ae0' or 'joint'"),
        ({"fusion": "cmf", "components": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FuseParams(**{"features": ["t", "v"], **wrong})
