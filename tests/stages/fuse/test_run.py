"""A whole `fuse` on files: blocks in the order asked for, scaled on train alone, present while any input is."""

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

PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"t": rng.normal(2, 3, (40, 4)).astype(np.float32), "v": rng.normal(-9, 1, (40, 3)).astype(np.float32)}


@pytest.fixture(autouse=True)
def written(dataset: Any) -> None:
    dataset.write("multiclass", np.arange(40) % 3, list(PARTS))


CPU = TrainingSettings("cpu")


def outputs(root: Path) -> FuseOutputs:
    return FuseOutputs(root / "out" / "f.zarr.zip", root / "metrics" / "f.json", root / "models" / "f")


def fuse(dataset: Any, vectors: dict[str, np.ndarray], *, usable: Any = None, **params: Any) -> Any:
    paths = tuple(
        dataset.matrix(name, each, usable=(usable or {}).get(name), missing=0.5) for name, each in vectors.items()
    )
    settings = FuseParams(**{"fusion": "concat", "features": list(vectors), **params})
    run(
        settings,
        FuseInputs(dataset.manifest, dataset.split, paths),
        outputs(dataset.root),
        TrainingSettings("cpu"),
        SilentProgress(),
    )
    return open_matrix(outputs(dataset.root).matrix)


def test_blocks_stand_side_by_side_exactly_in_the_order_asked_for(dataset: Any, vectors: dict[str, np.ndarray]) -> None:
    z = fuse(dataset, vectors).rows(np.arange(40))
    assert z.shape == (40, 7)
    np.testing.assert_array_equal(z[:, :4], vectors["t"])
    np.testing.assert_array_equal(z[:, 4:], vectors["v"])
    swapped = fuse(dataset, dict(reversed(vectors.items()))).rows(np.arange(40))
    np.testing.assert_array_equal(swapped, np.concatenate([z[:, 4:], z[:, :4]], axis=1))


def test_the_card_tells_where_it_comes_from(dataset: Any, vectors: dict[str, np.ndarray]) -> None:
    made = fuse(dataset, vectors)
    card = read_card(outputs(dataset.root).card)
    sources = [open_matrix(dataset.root / f"{name}.zarr.zip").digest for name in vectors]
    assert card == {
        "rows": 40, "dim": 7, "digest": made.digest, "fusion": "concat", "features": ["t", "v"], "sources": sources
    }  # fmt: skip


def test_standard_scaling_is_that_of_the_train_rows(dataset: Any, vectors: dict[str, np.ndarray]) -> None:
    z = fuse(dataset, vectors, scale="standard").rows(np.arange(40))
    np.testing.assert_allclose(z[PARTS == "train"].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z[PARTS == "train"].std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_noise_in_dev_or_test_rows_leaves_the_fitted_bytes_as_they_are(
    dataset: Any, vectors: dict[str, np.ndarray], part: str
) -> None:
    fuse(dataset, vectors, scale="standard")
    model = outputs(dataset.root).model / "scaler.safetensors"
    before = model.read_bytes()
    rows = part == PARTS
    for each in vectors.values():
        each[rows] = np.random.default_rng(9).normal(size=(rows.sum(), each.shape[1])) * 1e4
    dataset.write("multiclass", np.where(rows, 2, np.arange(40) % 3), list(PARTS))
    fuse(dataset, vectors, scale="standard")
    assert model.read_bytes() == before
    vectors["t"][0] += 1
    fuse(dataset, vectors, scale="standard")
    assert model.read_bytes() != before


def test_unit_norm_needs_no_train_rows(dataset: Any, vectors: dict[str, np.ndarray]) -> None:
    dataset.write("multiclass", np.arange(40) % 3, ["test"] * 40)
    z = fuse(dataset, vectors, scale="l2").rows(np.arange(40))
    np.testing.assert_allclose(np.linalg.norm(z[:, :4], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(z[:, 4:], axis=1), 1, atol=1e-6)


def test_a_row_is_there_while_any_input_is_and_the_others_carry_their_placeholder(
    dataset: Any, vectors: dict[str, np.ndarray]
) -> None:
    rows = np.arange(40)
    usable = {"t": rows % 2 != 0, "v": rows % 3 != 0}
    made = fuse(dataset, vectors, usable=usable, scale="standard")
    np.testing.assert_array_equal(made.usable, usable["t"] | usable["v"])
    learnt = load_file(outputs(dataset.root).model / "scaler.safetensors")
    np.testing.assert_allclose(
        learnt["mean"][:4], vectors["t"][(PARTS == "train") & usable["t"]].mean(axis=0), atol=1e-5
    )
    scaled = (np.full(7, 0.5, np.float32) - learnt["mean"]) / learnt["deviation"]
    np.testing.assert_allclose(made.missing_vector, scaled, atol=1e-6)
    np.testing.assert_allclose(made.rows(np.array([2]))[0, :4], scaled[:4], atol=1e-6)
    np.testing.assert_allclose(made.rows(np.array([6]))[0], scaled, atol=1e-6)


def test_the_same_inputs_give_the_same_bytes_and_no_pickle(dataset: Any, vectors: dict[str, np.ndarray]) -> None:
    found = []
    for _ in range(2):
        fuse(dataset, vectors, scale="standard")
        made = outputs(dataset.root)
        found.append([each.read_bytes() for each in (made.matrix, made.card, made.model / "scaler.safetensors")])
        assert [path.name for path in made.model.iterdir()] == ["scaler.safetensors"]
    assert found[0] == found[1]


def test_a_matrix_of_other_items_is_refused_and_nothing_is_written(
    dataset: Any, vectors: dict[str, np.ndarray]
) -> None:
    paths = (dataset.matrix("t", vectors["t"]), dataset.matrix("v", vectors["v"], ids=dataset.ids(40)[::-1]))
    settings = FuseParams(fusion="concat", features=["t", "v"])
    with pytest.raises(InputError, match="expected the 40 items of the manifest in its order"):
        run(
            settings,
            FuseInputs(dataset.manifest, dataset.split, paths),
            outputs(dataset.root),
            TrainingSettings("cpu"),
            SilentProgress(),
        )
    assert not any((dataset.root / name).exists() for name in ("out", "metrics", "models"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusion": "concatt"}, r"no fusion 'concatt' \(did you mean 'concat'\?\); see `diptych catalog fusions`"),
        ({"fusion": "attention"}, r"fusion 'attention' learns from labels, so it belongs in the section `train`"),
        ({"fusion": "none"}, r"fusion 'none' takes exactly one of `features`; found 2; use concat"),
        ({"features": []}, "at least 1 item"),
        ({"scale": "minmax"}, "'none', 'standard' or 'l2'"),
        ({"scales": "l2"}, "unknown key 'scales'"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FuseParams(**{"fusion": "concat", "features": ["t", "v"], **wrong})
