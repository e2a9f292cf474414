"""The index proposes and exact distances decide: what must hold with it as without, and what it is measured by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.retrieve.approximate import index_recall
from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store import MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.items.records import Item, ManifestInfo, write_manifest
from store.items.split import write_split
from tests.rules.cards import read_card

COUNT = 1200
PARTS = np.where(np.arange(COUNT) % 6 == 0, "test", "train")
CLASSES = np.random.default_rng(0).integers(0, 30, COUNT)
NAMES = ("metrics.json", "ranked.parquet", "curve.csv")


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    found = (rng.normal(size=(30, 12))[CLASSES] + rng.normal(size=(COUNT, 12))).astype(np.float32)
    found[100:110] = found[100]  # ten twins: their order is that of the rows
    return found


def write(root: Path, vectors: np.ndarray, families: np.ndarray) -> None:
    ids = [f"i{row:04}" for row in range(COUNT)]
    info = ManifestInfo("table", ".", "multiclass", tuple(f"c{k}" for k in range(30)), {}, (), ("family",))
    rows = [
        (Item(name, None, {}, (f"c{label}",), None, name, meta={"family": str(family)}), None)
        for name, label, family in zip(ids, CLASSES, families, strict=True)
    ]
    write_manifest(root / "manifest.parquet", info, rows)
    write_split(root / "split.parquet", ids, PARTS.tolist(), {})
    header = MatrixHeader(ids, vectors.shape[1], "float32", np.zeros(vectors.shape[1], np.float32), {})
    there = np.ones(COUNT, np.bool_)
    write_matrix(root / "m.zarr.zip", header, [MatrixBlock(vectors, there, there)], durability="none")


def retrieve(root: Path, **params: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the metrics, and the ranked rows."""
    settings = RetrieveParams(**{"features": ["m"], "k": [1, 5], "scale": "none", **params})
    inputs = RetrieveInputs(root / "manifest.parquet", root / "split.parquet", (root / "m.zarr.zip",))
    run(settings, inputs, RetrieveOutputs(*(root / name for name in NAMES)), SilentProgress())
    return read_card(root / NAMES[0]), pq.read_table(root / NAMES[1]).to_pylist()


@pytest.fixture
def siblings() -> np.ndarray:
    return np.arange(COUNT) // 4


@pytest.fixture
def written(tmp_path: Path, vectors: np.ndarray, siblings: np.ndarray) -> Path:
    write(tmp_path, vectors, siblings)
    return tmp_path


@pytest.mark.parametrize("params", [{}, {"gallery": "all"}, {"gallery": "all", "exclude_same": "family"}])
def test_in_a_small_gallery_it_finds_what_the_exact_search_finds(written: Path, params: dict[str, Any]) -> None:
    exact, expected = retrieve(written, **params)
    values, ranked = retrieve(written, index="hnsw", **params)
    assert values.pop("index") == "hnsw"
    assert (values.pop("index_refilled"), values.pop("index_sampled")) == (0, 100)
    assert [values.pop(name) for name in ("index_recall_1", "index_recall_5")] == [1, 1]
    assert ranked == expected  # the distances to the last bit, and the order of the twins
    assert values.pop("ranked_digest") != exact.pop("ranked_digest")  # the file says that an index was asked
    assert values == exact


def test_the_same_inputs_give_the_same_bytes(written: Path) -> None:
    found = []
    for _ in range(2):
        retrieve(written, index="hnsw", gallery="all")
        found.append([(written / name).read_bytes() for name in NAMES])
    assert found[0] == found[1]


def test_a_query_finds_neither_itself_nor_what_is_excluded(written: Path, siblings: np.ndarray) -> None:
    _, ranked = retrieve(written, index="hnsw", gallery="all", exclude_same="family", k=[20])
    rows = np.array([[int(row["query"][1:]), int(row["id"][1:])] for row in ranked])
    assert len(rows) == (PARTS == "test").sum() * 20
    assert (siblings[rows[:, 0]] != siblings[rows[:, 1]]).all()


def test_a_query_whose_neighbours_are_all_excluded_is_answered_without_the_index(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    # A family of 700 around its member that asks: whatever the index proposes to it is of the family.
    families = np.where(np.arange(COUNT) < 700, 0, np.arange(COUNT))
    vectors[:700] = vectors[0] + np.random.default_rng(2).normal(size=(700, 12)) * 0.01
    write(tmp_path, vectors.astype(np.float32), families)
    exact, expected = retrieve(tmp_path, exclude_same="family")
    values, ranked = retrieve(tmp_path, exclude_same="family", index="hnsw")
    assert values["index_refilled"] == len(range(0, 700, 6))
    family = [row for row in ranked if int(row["query"][1:]) < 700]
    assert family == [row for row in expected if int(row["query"][1:]) < 700]
    assert values["random_top_5"] == exact["random_top_5"]


def test_where_it_leads_to_nothing_relevant_the_first_place_is_still_the_true_one(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    rng = np.random.default_rng(3)
    write(tmp_path, rng.permutation(vectors), np.arange(COUNT))  # labels and places have nothing to do with each other
    exact, _ = retrieve(tmp_path, k=[1])
    values, _ = retrieve(tmp_path, k=[1], index="hnsw")
    assert exact["top_1"] < 0.2
    assert values["mrr"] == exact["mrr"]


def test_what_is_overlooked_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = np.random.default_rng(4).normal(size=(COUNT, 64)).astype(np.float32)
    write(tmp_path, noise, np.arange(COUNT))
    monkeypatch.setattr("stages.retrieve.approximate._LINKS", 2)
    monkeypatch.setattr("stages.retrieve.approximate._BUILD_WIDTH", 2)
    monkeypatch.setattr("stages.retrieve.approximate._SEARCH_WIDTH", 1)
    _, expected = retrieve(tmp_path, k=[10])
    values, ranked = retrieve(tmp_path, k=[10], index="hnsw")
    assert 0.05 < values["index_recall_10"] < 0.95
    exact = {(row["query"], row["id"]): row["distance"] for row in expected}
    asked = sorted({row["query"] for row in ranked})
    sample = {asked[at] for at in np.random.default_rng(0).choice(len(asked), 100, replace=False)}
    found = [row for row in ranked if row["query"] in sample]
    assert values["index_recall_10"] == pytest.approx(
        sum((row["query"], row["id"]) in exact for row in found) / len(found)
    )
    # However many it overlooks: what it finds is measured exactly.
    assert all(row["distance"] == exact.get((row["query"], row["id"]), row["distance"]) for row in ranked)


def test_the_share_that_was_found_counts_twins_as_found() -> None:
    exact = np.array([[1.0, 2.0, 2.0], [1.0, 1.0, 3.0]])
    found = np.array([[1.0, 2.0, 4.0], [1.0, 3.0, 4.0]])
    assert [index_recall(found, exact, k) for k in (1, 2, 3)] == [1, pytest.approx(3 / 4), pytest.approx(4 / 6)]


def test_the_number_of_threads_is_left_as_it_was(written: Path) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        retrieve(written, index="hnsw")
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_without_the_library_the_extra_is_named_and_old_outputs_stay(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieve(written)
    before = [(written / name).read_bytes() for name in NAMES]
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'diptych\[index\]', or choose index: exact"):
        retrieve(written, index="hnsw")
    assert [(written / name).read_bytes() for name in NAMES] == before


def test_it_belongs_to_knn_alone() -> None:
    assert RetrieveParams(features=["x"]).index == "exact"
    with pytest.raises(ValidationError, match="`index: hnsw` is an option of head knn; head kmeans_svm searches by"):
        RetrieveParams(features=["x"], head="kmeans_svm", index="hnsw")
    with pytest.raises(ValidationError, match="'exact' or 'hnsw'"):
        RetrieveParams(features=["x"], index="ivf")
