"""A whole retrieval with `head: kmeans_svm` on files: fitted on train rows alone, ranked in clusters, and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.models.heads.catalog import HEADS
from stages.models.heads.kmeans_svm import KMeansSvm
from stages.models.heads.options import KMeansSvmOptions
from stages.retrieve.clusters import ovr_accuracy
from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store.errors import InputError
from tests.rules.cards import flat, read_card

PARTS = np.array(["train", "train", "train", "dev", "test"] * 50)
CLASSES = np.random.default_rng(2).integers(0, 12, 250)


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.normal(size=(12, 5))[CLASSES] * 2 + rng.normal(size=(250, 5))).astype(np.float32)


@pytest.fixture(autouse=True)
def written(dataset: Any) -> None:
    dataset.write("multiclass", CLASSES, list(PARTS))


def retrieve(dataset: Any, vectors: np.ndarray, **params: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the metrics, and the ranked rows without what is a digest of them."""
    outputs = RetrieveOutputs(*(dataset.root / name for name in ("metrics.json", "ranked.parquet", "curve.csv")))
    settings = RetrieveParams(**{"features": ["m"], "head": "kmeans_svm", "scale": "none", "k": [1, 5], **params})
    inputs = RetrieveInputs(dataset.manifest, dataset.split, (dataset.matrix("m", vectors),))
    values = flat(run(settings, inputs, outputs, SilentProgress()))
    assert values == read_card(outputs.card)
    return values, pq.read_table(outputs.ranked).to_pylist()


def test_metrics_and_ranking_are_those_of_the_head_itself(dataset: Any, vectors: np.ndarray) -> None:
    values, ranked = retrieve(dataset, vectors, k=[1, 5, 60], seed=4)
    train, test = np.flatnonzero(PARTS == "train"), np.flatnonzero(PARTS == "test")
    model = KMeansSvm(seed=4).fit(vectors[train])
    found = train[model.rank(vectors[test], vectors[train], 60).indices]
    assert [row["id"] for row in ranked] == [f"i{row:03}" for row in found.ravel()]
    assert values["head"] == "kmeans_svm"
    assert values["cluster_accuracy"] == pytest.approx(model.cluster_accuracy(vectors[test]))
    assert values["ovr_accuracy"] == pytest.approx(1 - 2 * (1 - values["cluster_accuracy"]) / 15)
    largest = np.bincount(model.assign(vectors[train])).argmax()
    assert values["cluster_accuracy_majority"] == pytest.approx((model.assign(vectors[test]) == largest).mean())
    hits = CLASSES[found] == CLASSES[test][:, None]
    assert values["top_5"] == pytest.approx(hits[:, :5].any(axis=1).mean())
    assert 0 < values["top_1"] < values["top_5"] < values["top_60"]


def test_the_first_relevant_item_counts_for_mrr_also_in_later_clusters(dataset: Any, vectors: np.ndarray) -> None:
    short, _ = retrieve(dataset, vectors, k=[1])
    long, ranked = retrieve(dataset, vectors, k=[150])
    assert short["mrr"] == long["mrr"]
    first = {row["query"]: row for row in reversed(ranked) if row["relevant"]}
    assert long["mrr"] == pytest.approx(np.mean([1 / row["rank"] for row in first.values()]))
    model, at = KMeansSvm().fit(vectors[PARTS == "train"]), {name: row for row, name in enumerate(dataset.ids(250))}
    found = model.assign(vectors[[at[row["id"]] for row in first.values()]])
    assert (found != model.predict(vectors[[at[name] for name in first]])).any()


def test_one_cluster_ranks_as_knn_does(dataset: Any, vectors: np.ndarray) -> None:
    one, ranked = retrieve(dataset, vectors, clusters=1)
    knn, expected = retrieve(dataset, vectors, head="knn")
    assert ranked == expected
    assert [one.pop(name) for name in ("cluster_accuracy", "ovr_accuracy", "cluster_accuracy_majority")] == [1, 1, 1]
    for name in ("head", "ranked_digest"):
        one.pop(name), knn.pop(name)
    assert one == knn


def test_a_query_with_a_twin_in_the_gallery_finds_it_at_distance_zero(dataset: Any, vectors: np.ndarray) -> None:
    train, test = np.flatnonzero(PARTS == "train"), np.flatnonzero(PARTS == "test")
    vectors[test] = vectors[train[: len(test)]]
    values, ranked = retrieve(dataset, vectors)
    model = KMeansSvm().fit(vectors[train])
    right = model.predict(vectors[test]) == model.assign(vectors[test])
    assert values["cluster_accuracy"] == right.mean() > 0.8
    first = {row["query"]: row for row in ranked if row["rank"] == 1}
    for query, twin in zip(test[right], train[: len(test)][right], strict=True):
        assert (first[f"i{query:03}"]["id"], first[f"i{query:03}"]["distance"]) == (f"i{twin:03}", 0)


def test_with_the_whole_gallery_a_query_never_finds_itself(dataset: Any, vectors: np.ndarray) -> None:
    values, ranked = retrieve(dataset, vectors, gallery="all", k=[249])
    assert values["n_gallery"] == 250
    assert len(ranked) == 50 * 249
    assert all(row["query"] != row["id"] for row in ranked)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_other_rows_than_train_do_not_move_the_clusters(dataset: Any, vectors: np.ndarray, part: str) -> None:
    _, before = retrieve(dataset, vectors, gallery="train")
    wild = vectors.copy()
    rows = np.flatnonzero(part == PARTS)[:-1]
    wild[rows] = np.random.default_rng(9).normal(size=(len(rows), 5)) * 40
    _, after = retrieve(dataset, wild, gallery="train")
    last = f"i{np.flatnonzero(PARTS == 'test')[-1]:03}"
    assert [row for row in before if row["query"] == last] == [row for row in after if row["query"] == last]
    assert (before == after) == (part == "dev")


def test_the_same_inputs_give_the_same_bytes(dataset: Any, vectors: np.ndarray) -> None:
    found = []
    for _ in range(2):
        retrieve(dataset, vectors, gallery="all")
        found.append([(dataset.root / name).read_bytes() for name in ("metrics.json", "ranked.parquet")])
    assert found[0] == found[1]


def test_too_few_distinct_train_vectors_are_refused_and_nothing_is_written(dataset: Any, vectors: np.ndarray) -> None:
    vectors[:] = vectors[np.arange(250) % 10]
    with pytest.raises(InputError, match=r"at least 15 distinct vectors, .*; found 6; lower `clusters`"):
        retrieve(dataset, vectors)
    assert not list(Path(dataset.root).glob("*.json"))


def test_the_heads_are_those_of_the_catalogue_that_rank() -> None:
    heads = get_args(RetrieveParams.model_fields["head"].annotation)
    assert list(heads) == [row.name for row in HEADS.values() if row.ranks]


def test_fifteen_clusters_at_an_accuracy_of_443_thousandths_are_926_one_against_the_rest() -> None:
    assert ovr_accuracy(0.443, 15) == pytest.approx(0.925733, abs=1e-6)
    assert ovr_accuracy(0.4, 15) == pytest.approx(0.92)


def test_the_options_of_the_clusters() -> None:
    assert RetrieveParams(features=["x"]).clustering is None
    assert RetrieveParams(features=["x"], head="kmeans_svm").clustering == KMeansSvmOptions(clusters=15, seed=0)
    chosen = RetrieveParams(features=["x"], head="kmeans_svm", clusters=4, seed=7)
    assert chosen.clustering == KMeansSvmOptions(clusters=4, seed=7)
    assert RetrieveParams.model_validate(chosen.model_dump()) == chosen


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clusters": 3}, "`clusters` and `seed` are options of head kmeans_svm; name it or remove them"),
        ({"seed": 0}, "`clusters` and `seed` are options of head kmeans_svm"),
        ({"head": "kmeans_svm", "clusters": 0}, "greater than or equal to 1"),
        ({"head": "kmeans_svm", "seed": -1}, "greater than or equal to 0"),
        ({"head": "svm"}, "'knn' or 'kmeans_svm'"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RetrieveParams(**{"features": ["x"], **wrong})
