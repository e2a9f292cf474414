"""One query against a gallery: the answer is that of a plain scan, whatever head, scale and chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.retrieve.features import FeatureRows, scaled_blocks
from stages.retrieve.params import RetrieveParams
from stages.retrieve.query import ask, choose_gallery, learning_rows
from store import Matrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import Item, ManifestInfo, write_manifest

COUNT, DIM = 60, 6


def _matrix(path: Path, seed: int) -> Matrix:
    vectors = np.random.default_rng(seed).standard_normal((COUNT, DIM)).astype(np.float32)
    present = np.ones(COUNT, np.bool_)
    header = MatrixHeader([f"i{row}" for row in range(COUNT)], DIM, "float32", np.zeros(DIM, np.float32), {})
    write_matrix(path, header, [MatrixBlock(vectors, present, present)], durability="none")
    return open_matrix(path)


@pytest.fixture(scope="module")
def matrices(tmp_path_factory: pytest.TempPathFactory) -> list[Matrix]:
    folder = tmp_path_factory.mktemp("matrices")
    return [_matrix(folder / f"{seed}.zarr.zip", seed) for seed in (0, 1)]


def _params(**more: Any) -> RetrieveParams:
    return RetrieveParams(features=["x", "y"], **more)


def _ask(matrices: list[Matrix], params: RetrieveParams, query: list[np.ndarray], k: int = 7) -> Any:
    fit, gallery = np.arange(0, COUNT, 2), np.arange(5, COUNT)
    features = FeatureRows(scaled_blocks(matrices, params.scale, fit), gallery)
    return ask(params, query, features, fit, k, SilentProgress())


def _scan(matrices: list[Matrix], scale: str, query: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Measure every item in plain numpy."""
    parts = []
    for matrix, vector in zip(matrices, query, strict=True):
        rows, own = matrix.block(0, COUNT).astype(np.float64), vector.astype(np.float64)
        if scale == "l2":
            rows, own = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (rows, own))
        if scale == "standard":
            mean, spread = rows[::2].mean(axis=0), rows[::2].std(axis=0)
            rows, own = (rows - mean) / spread, (own - mean) / spread
        parts.append(rows - own)
    distances = np.linalg.norm(np.concatenate(parts, axis=1), axis=1)
    order = np.argsort(distances[5:], kind="stable") + 5
    return order, distances


@pytest.mark.parametrize("scale", ["none", "standard", "l2"])
def test_the_answer_is_that_of_a_plain_scan(matrices: list[Matrix], scale: Any) -> None:
    query = [np.random.default_rng(9).standard_normal((1, DIM)).astype(np.float32) for _ in matrices]
    answer = _ask(matrices, _params(scale=scale), query)
    order, distances = _scan(matrices, scale, query)
    assert answer.rows.tolist() == order[:7].tolist()
    assert answer.distances == pytest.approx(distances[order[:7]])


def test_a_row_of_the_gallery_finds_itself_at_distance_0(matrices: list[Matrix]) -> None:
    for scale in ("none", "standard", "l2"):
        answer = _ask(matrices, _params(scale=scale), [matrix.rows(np.array([33])) for matrix in matrices])
        assert (answer.rows[0], answer.distances[0]) == (33, 0.0)


def test_clusters_come_one_behind_the_other_and_a_single_one_changes_nothing(matrices: list[Matrix]) -> None:
    query = [np.full((1, DIM), 0.3, np.float32)] * 2
    plain = _ask(matrices, _params(), query, k=55)
    single = _ask(matrices, _params(head="kmeans_svm", clusters=1), query, k=55)
    several = _ask(matrices, _params(head="kmeans_svm", clusters=4), query, k=55)
    assert single.rows.tolist() == plain.rows.tolist()
    assert sorted(several.rows) == sorted(plain.rows)
    assert 1 <= int((np.diff(several.distances) < 0).sum()) <= 3


def test_the_gallery_leaves_out_what_has_no_input_and_k_must_fit() -> None:
    offered, usable = np.array([True, True, True, False]), np.array([True, False, True, True])
    gallery = choose_gallery(offered, usable, 2)
    assert (gallery.items.tolist(), gallery.left_out) == ([0, 2], 1)
    with pytest.raises(InputError, match="k of at most 2"):
        choose_gallery(offered, usable, 3)


def test_scale_and_clusters_learn_from_labelled_train_rows_with_an_input(tmp_path: Path) -> None:
    labels: list[tuple[str, ...] | None] = [("a",), None, ("a",), ("a",), ("a",)]
    rows = [Item(f"i{n}", None, {}, each, None, f"i{n}") for n, each in enumerate(labels)]
    write_manifest(
        tmp_path / "m.parquet", ManifestInfo("table", ".", "multiclass", ("a",)), [(row, None) for row in rows]
    )
    manifest = Manifest.open(tmp_path / "m.parquet")
    parts = np.array(["train", "train", "train", "test", "train"])
    usable = np.array([True, True, False, True, True])
    for params in (_params(scale="standard"), _params(head="kmeans_svm")):
        assert learning_rows(params, manifest, parts, usable).tolist() == [0, 4]
    assert not len(learning_rows(_params(), manifest, parts, usable))
