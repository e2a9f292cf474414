"""`fuse` with the fusions of paper 4, on matrices with tokens, regions and maps: learnt on train, written for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run
from stages.models.training.checkpoints import TrainingSettings
from store import MatrixArray, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.errors import InputError

COUNT = 40
PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)
QUICK: dict[str, Any] = {"epochs": 2, "lr": 0.01, "batch": 8}
SMALL: dict[str, Any] = {**QUICK, "width": 8, "heads": 2, "feedforward": 16}
KINDS: dict[str, dict[str, Any]] = {
    "gated": {"fusion": "gated", **QUICK},
    "gated2d": {"fusion": "gated2d", **QUICK},
    "joint": {"fusion": "joint", **SMALL},
    "system": {"fusion": "joint", **SMALL, "output": "gated2d"},
}
EVERY = pytest.mark.parametrize("kind", KINDS)


class Case:
    """Captions shared by several pictures, as matrices on disk."""

    def __init__(self, dataset: Any, cells: str = "regions") -> None:
        self.dataset, self.cells = dataset, cells
        dataset.write("multiclass", np.arange(COUNT) % 3, list(PARTS))
        rng = np.random.default_rng(0)
        sentence = rng.integers(0, 5, COUNT)
        tokens = rng.normal(size=(5, 4, 3))[sentence]
        self.text = {"vectors": tokens.mean(axis=1), "tokens": tokens, "token_mask": np.ones((COUNT, 4), np.bool_)}
        regions = rng.normal(size=(COUNT, 3, 6))
        self.image = {"vectors": regions.mean(axis=1)}
        if cells == "map":
            self.image["map"] = regions.transpose(0, 2, 1)[:, :, None]
        if cells == "regions":
            self.image |= {"regions": regions, "region_mask": np.ones((COUNT, 3), np.bool_)}
        self.usable = {"caption": np.ones(COUNT, np.bool_), "image": np.ones(COUNT, np.bool_)}

    def write(self, name: str, arrays: dict[str, np.ndarray]) -> Path:
        vectors = arrays["vectors"].astype(np.float32)
        beside = {
            key: value if value.dtype == np.bool_ else value.astype(np.float32)
            for key, value in arrays.items()
            if key != "vectors"
        }
        declared = [MatrixArray(key, value.shape[1:], str(value.dtype)) for key, value in beside.items()]
        missing = np.full(vectors.shape[1], 0.5 if name == "caption" else 0.0, np.float32)
        header = MatrixHeader(self.dataset.ids(COUNT), len(missing), "float32", missing, {}, declared)
        path: Path = self.dataset.root / f"{name}.zarr.zip"
        usable = self.usable[name]
        write_matrix(path, header, [MatrixBlock(vectors, usable, usable, beside)], durability="none")
        return path

    @property
    def outputs(self) -> FuseOutputs:
        root = self.dataset.root
        return FuseOutputs(root / "out" / "f.zarr.zip", root / "metrics" / "f.json", root / "models" / "f")

    def fuse(self, **params: Any) -> Any:
        paths = (self.write("caption", self.text), self.write("image", self.image))
        settings = FuseParams(**{"features": ["caption", "image"], **params})
        inputs = FuseInputs(self.dataset.manifest, self.dataset.split, paths)
        run(settings, inputs, self.outputs, TrainingSettings("cpu"), SilentProgress())
        return open_matrix(self.outputs.matrix)

    @property
    def learnt(self) -> bytes:
        return (self.outputs.model / "fusion.safetensors").read_bytes()


@pytest.fixture
def case(dataset: Any) -> Case:
    return Case(dataset)


@EVERY
@pytest.mark.parametrize("cells", ["regions", "map"])
def test_every_item_gets_a_vector(kind: str, cells: str, dataset: Any) -> None:
    made = Case(dataset, cells).fuse(**KINDS[kind])
    width = {"gated": 6, "gated2d": 6, "joint": 16, "system": 8}[kind]
    assert (len(made.usable), made.dim) == (COUNT, width)
    assert made.usable.all()
    assert np.isfinite(made.rows(np.arange(COUNT))).all()


@EVERY
@pytest.mark.parametrize("part", ["dev", "test"])
def test_noise_in_dev_or_test_rows_leaves_the_learnt_bytes_as_they_are(kind: str, part: str, case: Case) -> None:
    case.fuse(**KINDS[kind])
    before = case.learnt
    rows, rng = part == PARTS, np.random.default_rng(9)
    for arrays in (case.text, case.image):
        for name in arrays:
            if "mask" not in name:
                arrays[name][rows] = rng.normal(size=arrays[name][rows].shape) * 1e3
    case.fuse(**KINDS[kind])
    assert case.learnt == before
    case.image["vectors"][PARTS == "train"] *= 2
    for name in {"map", "regions"} & set(case.image):
        case.image[name][PARTS == "train"] *= 2
    case.fuse(**KINDS[kind])
    assert case.learnt != before


@EVERY
def test_equal_runs_write_equal_bytes_and_another_seed_others(kind: str, case: Case) -> None:
    found = []
    for seed in (0, 0, 1):
        case.fuse(**KINDS[kind], seed=seed)
        made = case.outputs
        found.append([each.read_bytes() for each in (made.matrix, made.card, made.model / "fusion.safetensors")])
    assert found[0] == found[1]
    assert found[0] != found[2]


@EVERY
def test_an_item_that_has_neither_input_carries_what_both_placeholders_fuse_to(kind: str, case: Case) -> None:
    case.usable["caption"][[4, 7]] = False
    case.usable["image"][[5, 7]] = False
    made = case.fuse(**KINDS[kind])
    assert np.flatnonzero(~made.usable).tolist() == [7]
    rows = made.rows(np.arange(COUNT))
    np.testing.assert_array_equal(rows[7], made.missing_vector)
    assert np.isfinite(rows).all()
    if kind in {"gated", "gated2d", "system"}:
        assert not rows[5].any()
        assert rows[4].any()


@EVERY
def test_the_seeded_weights_are_kept_where_nothing_is_to_be_learnt(kind: str, case: Case) -> None:
    case.fuse(**KINDS[kind], train="none")
    seeded = case.learnt
    case.text["vectors"] += np.arange(COUNT)[:, None]  # no two captions are alike any more
    case.fuse(**KINDS[kind])
    assert case.learnt == seeded


@pytest.mark.parametrize("kind", ["gated2d", "joint", "system"])
def test_a_picture_that_is_a_lone_vector_is_asked_for_more(kind: str, dataset: Any) -> None:
    with pytest.raises(
        InputError, match=r"expected map or regions beside the vectors of .*image\.zarr\.zip; found non"
    ):
        Case(dataset, "none").fuse(**KINDS[kind])


def test_a_gate_for_vectors_asks_for_nothing_more(dataset: Any) -> None:
    assert Case(dataset, "none").fuse(**KINDS["gated"]).dim == 6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusion": "gated2d", "hidden": False}, "unknown key 'hidden'"),
        ({"fusion": "gated", "features": ["caption"]}, "joins at least 2 features; found 1"),
        ({"fusion": "joint", "width": 30}, "width: expected a multiple of `heads`, 8; found 30"),
        ({"fusion": "joint", "output": "mean"}, "'both', 'text', 'image', 'gated' or 'gated2d'"),
        ({"fusion": "gated", "batch": 1}, "greater than or equal to 2"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FuseParams(**{"features": ["caption", "image"], **wrong})
