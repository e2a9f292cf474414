"""Items that lack an input: it neither draws them near a query nor away from it, whatever head, scale and chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract import SilentProgress
from stages.models.measures.neighbours import nearest
from stages.retrieve.features import FeatureRows, at_mean, at_mean_distance, inputs_of, kinds_of, scaled_blocks
from stages.retrieve.params import RetrieveParams
from stages.retrieve.query import ask, learning_rows
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store import Matrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.errors import InputError
from tests.rules.cards import flat, read_card
from tests.stages.conftest import DataSet

COUNT = 90
PARTS = np.array(["train", "train", "train", "test", "train", "dev"] * 15)
CLASSES = np.random.default_rng(1).integers(0, 4, COUNT)
TRAIN, TEST = np.flatnonzero(PARTS == "train"), np.flatnonzero(PARTS == "test")
NAMES = ("metrics.json", "ranked.parquet", "curve.csv")
EMPTY = 3.0  # each number of the missing vector: far from all others before scaling, and never zeros


def vectors_of(seed: int, dim: int) -> np.ndarray:
    """Draw vectors that lie around those of their class."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(4, dim))[CLASSES] + 0.7 * rng.normal(size=(COUNT, dim))).astype(np.float32)


IMAGES, TEXTS = vectors_of(2, 6), vectors_of(3, 4)
EVERY = np.ones(COUNT, np.bool_)
TEXTLESS = np.isin(np.arange(COUNT), np.random.default_rng(11).choice(COUNT, 18, replace=False))
BLIND = np.isin(np.arange(COUNT), np.flatnonzero(~TEXTLESS)[::9])


def retrieve(dataset: DataSet, seen: np.ndarray, said: np.ndarray, **params: Any) -> tuple[dict[str, Any], np.ndarray]:
    """Rank by picture and text; return the metrics and what was found: row and distance, [2, Q, k]."""
    dataset.write("multiclass", CLASSES, list(PARTS))
    paths = (
        dataset.matrix("image", IMAGES, usable=seen, missing=0.0),
        dataset.matrix("text", TEXTS, usable=said, missing=EMPTY),
    )
    chosen = RetrieveParams(**{"features": ["image", "text"], "k": [1, 5], **params})
    inputs, names = RetrieveInputs(dataset.manifest, dataset.split, paths), [dataset.root / name for name in NAMES]
    values = flat(run(chosen, inputs, RetrieveOutputs(*names), SilentProgress()))
    assert values == read_card(names[0])
    table = pq.read_table(names[1])
    found = np.array([[int(name[1:]) for name in table["id"].to_pylist()], table["distance"].to_numpy()])
    return values, found.reshape(2, values["n_queries"], -1)


def scaled(vectors: np.ndarray, usable: np.ndarray, scale: str) -> np.ndarray:
    known = vectors.astype(np.float64)
    if scale == "l2":
        return known / np.linalg.norm(known, axis=1, keepdims=True)
    if scale == "standard":
        learnt = known[usable & (PARTS == "train")]
        return (known - learnt.mean(axis=0)) / learnt.std(axis=0)
    return known


def by_hand(seen: np.ndarray, said: np.ndarray, scale: str, query: int, gallery: np.ndarray) -> np.ndarray:
    """Measure one query pair by pair as docs/missing-data.md tells: inf where it shares no input with an item."""
    total, shared = np.zeros(len(gallery)), np.zeros(len(gallery), np.bool_)
    for vectors, usable in ((IMAGES, seen), (TEXTS, said)):
        if usable[query] and usable[gallery].any():
            rows, there = scaled(vectors, usable, scale), usable[gallery]
            squared = ((rows[gallery] - rows[query]) ** 2).sum(axis=1)
            total += np.where(there, squared, squared[there].mean())
            shared |= there
    return np.where(shared, np.sqrt(total), np.inf)


def test_queries_without_text_find_what_their_picture_finds_and_not_each_other(dataset: DataSet) -> None:
    values, found = retrieve(dataset, EVERY, ~TEXTLESS)
    textless = TEXTLESS[TEST]
    share = TEXTLESS[found[0, textless].astype(int)].mean()
    assert TEXTLESS[TRAIN].mean() == pytest.approx(1 / 6)
    assert share == pytest.approx(0.15)  # with the missing vector in place of each text it was 1
    assert (values["n_queries_missing_some"], values["n_gallery_missing_some"]) == (
        textless.sum(), TEXTLESS[TRAIN].sum(),
    )  # fmt: skip
    rows = scaled(IMAGES, EVERY, "l2")
    for query, places in zip(TEST[textless], found[0, textless], strict=True):
        alone = np.argsort(((rows[TRAIN] - rows[query]) ** 2).sum(axis=1), kind="stable")[:5]
        assert places.tolist() == TRAIN[alone].tolist()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["l2", "none", "standard"]), st.floats(0, 0.7))
def test_ranks_and_distances_are_those_of_the_rule_taken_pair_by_pair(
    tmp_path_factory: pytest.TempPathFactory, seed: int, scale: str, rate: float
) -> None:
    rng = np.random.default_rng(seed)
    seen, said = rng.random((2, COUNT)) >= rate
    values, found = retrieve(DataSet(tmp_path_factory.mktemp("pairs")), seen, said, scale=scale, k=[1, 3])
    able = seen | said
    gallery, firsts = TRAIN[able[TRAIN]], []
    for query, rows, distances in zip(TEST[able[TEST]], *found, strict=True):
        measured = by_hand(seen, said, scale, query, gallery)
        order = np.argsort(measured, kind="stable")
        assert distances == pytest.approx(measured[order[:3]], rel=1e-9, abs=1e-9)
        assert rows.tolist() == gallery[order[:3]].tolist()
        right = np.isfinite(measured[order]) & (CLASSES[gallery[order]] == CLASSES[query])
        firsts += [1 / (np.argmax(right) + 1)] if right.any() else []
    assert values["mrr"] == pytest.approx(np.mean(firsts))


@pytest.mark.parametrize("scale", ["l2", "none", "standard"])
def test_where_nothing_is_missing_the_ranking_is_that_of_the_vectors_side_by_side_to_the_bit(
    dataset: DataSet, scale: str
) -> None:
    _, found = retrieve(dataset, EVERY, EVERY, scale=scale)
    side_by_side = np.concatenate([scaled(each, EVERY, scale) for each in (IMAGES, TEXTS)], axis=1)
    near = nearest(side_by_side[TEST], side_by_side[TRAIN], 5)
    assert found[0].tolist() == TRAIN[near.indices].tolist()
    assert found[1].tolist() == near.distances.tolist()


def test_an_item_without_an_input_is_as_far_from_it_as_the_others_are_on_average(dataset: DataSet) -> None:
    _, found = retrieve(dataset, EVERY, ~TEXTLESS, k=[len(TRAIN)], scale="none")
    text = np.array([((TEXTS[TRAIN] - TEXTS[query]).astype(float) ** 2).sum(axis=1) for query in TEST])
    image = np.array([((IMAGES[TRAIN] - IMAGES[query]).astype(float) ** 2).sum(axis=1) for query in TEST])
    for at in np.flatnonzero(~TEXTLESS[TEST]):
        squared = dict(zip(found[0, at].astype(int).tolist(), found[1, at] ** 2, strict=True))
        part = np.array([squared[row] for row in TRAIN]) - image[at]
        assert part[TEXTLESS[TRAIN]] == pytest.approx(text[at, ~TEXTLESS[TRAIN]].mean())


def test_items_that_share_no_input_with_a_query_are_not_found_and_k_says_so(dataset: DataSet) -> None:
    seen, said = ~BLIND, ~TEXTLESS
    values, found = retrieve(dataset, seen, said)
    rows = found[0].astype(int)
    for query, places in zip(TEST, rows, strict=True):
        assert all((seen[query] and seen[row]) or (said[query] and said[row]) for row in places)
    assert (values["n_gallery"], values["n_queries"]) == (len(TRAIN), len(TEST))
    shared = seen[TEST][:, None] & seen[TRAIN] | said[TEST][:, None] & said[TRAIN]
    most = int(shared.sum(axis=1).min())
    with pytest.raises(InputError, match=rf"expected k of at most {most}, .* and shares an input with, found 60"):
        retrieve(dataset, seen, said, k=[60])


def test_queries_whose_only_input_no_gallery_item_has_are_counted_and_do_not_ask(
    dataset: DataSet, caplog: pytest.LogCaptureFixture
) -> None:
    said = (PARTS == "test") & (np.arange(COUNT) % 4 == 1)
    seen = ~(said & (np.arange(COUNT) % 3 == 0))
    values, found = retrieve(dataset, seen, said)
    out = int((~seen[TEST]).sum())
    assert (values["n_queries_without_input"], values["n_queries"]) == (out, len(TEST) - out)
    assert "no gallery item has text: it is left out of the ranking" in caplog.text
    alone = scaled(IMAGES, EVERY, "l2")
    first = TEST[seen[TEST]][0]
    assert found[1, 0] ** 2 == pytest.approx(np.sort(((alone[TRAIN] - alone[first]) ** 2).sum(axis=1))[:5])


def test_of_a_single_input_the_items_that_lack_it_neither_ask_nor_are_found(dataset: DataSet) -> None:
    dataset.write("multiclass", CLASSES, list(PARTS))
    path = dataset.matrix("text", TEXTS, usable=~TEXTLESS, missing=EMPTY)
    inputs = RetrieveInputs(dataset.manifest, dataset.split, (path,))
    outputs = RetrieveOutputs(*(dataset.root / name for name in NAMES))
    values = flat(run(RetrieveParams(features=["text"], k=[1, 5]), inputs, outputs, SilentProgress()))
    table = pq.read_table(outputs.ranked)
    names = {f"i{row:03}" for row in np.flatnonzero(TEXTLESS)}
    assert not names & {*table["query"].to_pylist(), *table["id"].to_pylist()}
    assert (values["n_gallery_without_input"], values["n_queries_without_input"]) == (
        TEXTLESS[TRAIN].sum(), TEXTLESS[TEST].sum(),
    )  # fmt: skip
    assert "n_gallery_missing_some" not in values


@pytest.mark.parametrize("head", [{}, {"head": "kmeans_svm", "clusters": 3}, {"index": "hnsw"}])
def test_the_size_of_the_chunks_changes_nothing(
    dataset: DataSet, monkeypatch: pytest.MonkeyPatch, head: dict[str, Any]
) -> None:
    whole = retrieve(dataset, ~BLIND, ~TEXTLESS, **head)
    monkeypatch.setattr("stages.retrieve.ranking.QUERIES_AT_ONCE", 4)
    monkeypatch.setattr("stages.retrieve.features._STEP", 7)
    values, found = retrieve(dataset, ~BLIND, ~TEXTLESS, **head)
    assert found == pytest.approx(whole[1], rel=1e-12)
    assert {name: value for name, value in values.items() if name != "ranked_digest"} == pytest.approx(
        {name: value for name, value in whole[0].items() if name != "ranked_digest"}
    )


def test_the_index_finds_the_same_and_says_which_queries_it_did_not_answer(dataset: DataSet) -> None:
    _, exact = retrieve(dataset, ~BLIND, ~TEXTLESS)
    values, found = retrieve(dataset, ~BLIND, ~TEXTLESS, index="hnsw")
    assert found.tolist() == exact.tolist()
    assert values["index_refilled"] == values["n_queries_missing_some"] == (BLIND | TEXTLESS)[TEST].sum()
    assert values["index_recall_5"] == 1


def _matrices(dataset: DataSet) -> list[Matrix]:
    return [open_matrix(dataset.root / f"{name}.zarr.zip") for name in ("image", "text")]


def test_clusters_are_not_made_of_what_is_missing_and_learn_from_train_rows_alone(dataset: DataSet) -> None:
    values, _ = retrieve(dataset, ~BLIND, ~TEXTLESS, head="kmeans_svm", clusters=4)
    assert values["cluster_accuracy"] > 0.5
    rows = FeatureRows(at_mean(scaled_blocks(_matrices(dataset), "l2", TRAIN), TRAIN), np.arange(COUNT))[:]
    text = scaled(TEXTS, EVERY, "l2")
    mean = text[TRAIN][~TEXTLESS[TRAIN]].mean(axis=0)
    assert rows[TEXTLESS, 6:] == pytest.approx(np.tile(mean, (TEXTLESS.sum(), 1)))
    assert rows[~TEXTLESS, 6:] == pytest.approx(text[~TEXTLESS])
    wild = np.where((PARTS == "train")[:, None], TEXTS, 9 * TEXTS[::-1])  # other rows move neither means nor clusters
    dataset.matrix("text", wild, usable=~TEXTLESS, missing=EMPTY)
    again = FeatureRows(at_mean(scaled_blocks(_matrices(dataset), "l2", TRAIN), TRAIN), TRAIN)[:]
    assert again.tolist() == rows[TRAIN].tolist()


@pytest.mark.parametrize("head", [{}, {"head": "kmeans_svm", "clusters": 3}])
@pytest.mark.parametrize("scale", ["l2", "standard"])
def test_a_search_by_what_an_item_has_ranks_as_retrieve_ranks_the_item(
    dataset: DataSet, head: dict[str, Any], scale: Any
) -> None:
    from store.items.manifest import Manifest

    _, found = retrieve(dataset, ~BLIND, ~TEXTLESS, scale=scale, **head)
    matrices, manifest = _matrices(dataset), Manifest.open(dataset.manifest)
    params = RetrieveParams(features=["image", "text"], scale=scale, **head)
    inputs = inputs_of(matrices)
    fit = learning_rows(params, manifest, PARTS, inputs.any(axis=0))
    blocks = scaled_blocks(matrices, scale, fit)
    for query, rows, distances in zip(TEST, *found, strict=True):
        asked = [matrix.rows(np.array([query])) if matrix.usable[query] else None for matrix in matrices]
        items = TRAIN[inputs[inputs[:, query]][:, TRAIN].any(axis=0)]
        answer = ask(params, asked, FeatureRows(blocks, items), fit, 5, SilentProgress())
        assert answer.rows.tolist() == rows.tolist()
        assert answer.distances == pytest.approx(distances, rel=1e-9)


def test_queries_are_parted_by_their_inputs_and_items_that_share_none_with_them_left_out() -> None:
    inputs = np.array([[1, 1, 0, 0, 1], [1, 0, 1, 1, 0]], bool)
    kinds = kinds_of(inputs, np.array([0, 1, 2, 3, 4]), np.array([1, 2]))
    told = {tuple(kind.queries.tolist()): (kind.inputs.tolist(), kind.gallery.tolist()) for kind in kinds}
    assert told == {(0,): ([0, 1], [0, 1]), (1, 4): ([0], [0]), (2, 3): ([1], [1])}


def test_of_a_large_gallery_no_more_than_some_rows_are_held_at_once(tmp_path: Path) -> None:
    count, dim = 30_000, 8
    rng = np.random.default_rng(0)
    present = rng.random(count) < 0.5
    header = MatrixHeader([str(row) for row in range(count)], dim, "float32", np.ones(dim, np.float32), {})
    block = MatrixBlock(rng.normal(size=(count, dim)).astype(np.float32), present, present)
    write_matrix(tmp_path / "m.zarr.zip", header, [block], durability="none")
    matrix, asked = open_matrix(tmp_path / "m.zarr.zip"), []
    plain = matrix.rows

    def rows(indices: np.ndarray) -> np.ndarray:
        asked.append(len(indices))
        return plain(indices)

    matrix.rows = rows  # type: ignore[method-assign]
    (block_at,) = at_mean_distance(scaled_blocks([matrix], "none", np.zeros(0, np.int64)), np.arange(count))
    assert max(asked) <= 4096
    assert sum(asked) == present.sum()
    assert block_at.stand_in is not None
    assert block_at.stand_in[-1] ** 2 == pytest.approx(block.vectors[present].astype(float).var(axis=0).sum())
