"""A whole retrieval on files: a small data set whose neighbours are known, and every way the inputs may not fit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store import MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.items.records import Item, ManifestInfo, Task, write_manifest
from store.items.split import write_split
from tests.rules.cards import flat, read_card

PARTS = ("train", "train", "train", "train", "dev", "test", "test", "test")
LABELS: tuple[tuple[str, ...] | None, ...] = (
    ("a",), ("a", "b"), ("b",), None, ("b",), ("a",), ("c",), ("a", "b"),
)  # fmt: skip
ANGLES = (0, 20, 90, 5, 80, 3, 40, 25)


@dataclass(frozen=True)
class Case:
    """Eight items on the unit circle (their angles in degrees above), written to disk."""

    root: Path
    names: tuple[str, ...] = ("circle",)

    @property
    def inputs(self) -> RetrieveInputs:
        matrices = tuple(self.root / f"{name}.zarr.zip" for name in self.names)
        return RetrieveInputs(self.root / "manifest.parquet", self.root / "split.parquet", matrices)

    @property
    def outputs(self) -> RetrieveOutputs:
        return RetrieveOutputs(self.root / "metrics.json", self.root / "ranked.parquet", self.root / "curve.csv")

    @property
    def ids(self) -> list[str]:
        return [f"i{row}" for row in range(8)]

    def write(self, task: Task = "multilabel") -> None:
        classes = ("a", "b", "c") if task != "regression" else ()
        info = ManifestInfo("table", ".", task, classes, {}, ())
        rows = [Item(name, None, {}, self._labels(row, task), float(row), name) for row, name in enumerate(self.ids)]
        write_manifest(self.inputs.manifest, info, [(item, None) for item in rows])
        write_split(self.inputs.split, self.ids, PARTS, {})
        angles = np.deg2rad(ANGLES)
        self.write_matrix("circle", np.stack([np.cos(angles), np.sin(angles)], axis=1))

    def _labels(self, row: int, task: Task) -> tuple[str, ...] | None:
        labels = LABELS[row]
        return None if task == "regression" or labels is None else labels[:1] if task == "multiclass" else labels

    def write_matrix(self, name: str, vectors: np.ndarray, missing: tuple[int, ...] = (), ids: Any = None) -> None:
        present = ~np.isin(np.arange(len(vectors)), missing)
        dim = vectors.shape[1]
        header = MatrixHeader(ids or self.ids, dim, "float32", np.zeros(dim, np.float32), {})
        values = np.where(present[:, None], vectors, 0).astype(np.float32)
        write_matrix(self.root / f"{name}.zarr.zip", header, [MatrixBlock(values, present, present)])

    def run(self, **params: Any) -> dict[str, Any]:
        settings = RetrieveParams(**{"features": list(self.names), "k": [1, 2], **params})
        return flat(run(settings, self.inputs, self.outputs, SilentProgress()))

    def ranked(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in pq.read_table(self.outputs.ranked).to_pylist():
            assert row["rank"] == len(found.setdefault(row["query"], [])) + 1
            found[row["query"]].append(row["id"])
        return found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = Case(tmp_path)
    made.write()
    return made


def test_neighbours_metrics_and_counts_of_a_known_circle(case: Case) -> None:
    values = case.run()
    # i3 stands nearest to i5 but bears no label; i6 bears a label that no gallery item has.
    assert case.ranked() == {"i5": ["i0", "i1"], "i6": ["i1", "i0"], "i7": ["i1", "i0"]}
    assert values == read_card(case.outputs.card)
    expected = {
        "n_queries": 3, "n_unanswerable": 1, "n_gallery": 3, "n_gallery_unlabelled": 1, "n_gallery_without_input": 0,
        "n_queries_unlabelled": 0, "n_queries_without_input": 0, "top_1": 1.0, "top_1_all": pytest.approx(2 / 3),
        "mrr": 1.0, "random_top_1": pytest.approx((2 / 3 + 1) / 2), "features": "circle", "task": "multilabel",
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    assert values["ranked_digest"] == hashlib.sha256(case.outputs.ranked.read_bytes()).hexdigest()


def test_the_same_inputs_give_the_same_bytes(case: Case) -> None:
    written, found = (case.outputs.card, case.outputs.ranked, case.outputs.curve), []
    for _ in range(2):
        case.run()
        found.append([path.read_bytes() for path in written])
    assert found[0] == found[1]
    assert not list(case.root.glob(".*"))


def test_the_curve_goes_to_the_longest_list_and_ends_where_the_metrics_do(case: Case) -> None:
    values = case.run(k=[1, 3])
    lines = case.outputs.curve.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["k", "1", "2", "3"]
    names = ("top_3", "recall_3", "precision_3", "random_top_3")
    assert lines[-1].split(",")[1:] == [f"{values[name]:.6f}" for name in names]


def test_with_the_whole_gallery_a_query_never_finds_itself(case: Case) -> None:
    values = case.run(gallery="all", k=[6])
    assert values["n_gallery"] == 7
    for query, found in case.ranked().items():
        assert query not in found
        assert len(found) == 6


def test_the_first_relevant_item_counts_for_mrr_even_beyond_the_longest_list(case: Case) -> None:
    # i5 at 3 degrees, asked for just the same labels {a}: only i0; i7 {a, b}: only i1; i6: none.
    far = np.deg2rad([70.0, 75.0, 10.0, 0.0, 0.0, 3.0, 40.0, 74.0])
    case.write_matrix("circle", np.stack([np.cos(far), np.sin(far)], axis=1))
    values = case.run(relevance="same_labels", k=[1])
    assert (values["top_1"], values["mrr"]) == (0.5, pytest.approx((1 / 2 + 1) / 2))


def test_single_classes(case: Case) -> None:
    case.write("multiclass")
    assert case.run()["top_1"] == 1.0


def test_several_matrices_are_scaled_one_by_one_and_found_as_one(tmp_path: Path) -> None:
    case = Case(tmp_path, ("circle", "loud"))
    case.write()
    # In the second matrix, a thousand times as long, i2 is the twin of i5: only scaling lets both have their say.
    loud = np.zeros((8, 3))
    loud[:, 0] = 1000.0
    loud[[2, 5]] = (0.0, 0.0, 1000.0)
    case.write_matrix("loud", loud)
    case.run(scale="none")
    assert case.ranked()["i5"] == ["i2", "i0"]
    case.run(scale="l2")
    joined = np.concatenate([loud / 1000, np.stack([np.cos(np.deg2rad(ANGLES)), np.sin(np.deg2rad(ANGLES))], 1)], 1)
    order = sorted((0, 1, 2), key=lambda row: float(((joined[5] - joined[row]) ** 2).sum()))
    assert case.ranked()["i5"] == [f"i{row}" for row in order[:2]]


def test_standard_scaling_learns_from_train_rows_of_the_gallery_only(case: Case) -> None:
    case.run(scale="standard")
    before = case.ranked()
    wild = np.stack([np.cos(np.deg2rad(ANGLES)), np.sin(np.deg2rad(ANGLES))], axis=1)
    wild[4] = 1e6  # a dev row: were it learnt from, all distances would collapse
    case.write_matrix("circle", wild)
    case.run(scale="standard")
    assert case.ranked() == before


def test_a_row_counts_while_any_of_its_inputs_is_there(tmp_path: Path) -> None:
    case = Case(tmp_path, ("circle", "other"))
    case.write()
    circle = np.stack([np.cos(np.deg2rad(ANGLES)), np.sin(np.deg2rad(ANGLES))], axis=1)
    case.write_matrix("circle", circle, missing=(0, 6))
    case.write_matrix("other", circle, missing=(0,))
    values = case.run()
    assert (values["n_gallery"], values["n_gallery_without_input"], values["n_queries"]) == (2, 1, 3)
    assert all("i0" not in found for found in case.ranked().values())


def test_k_beyond_the_gallery_is_refused_and_nothing_is_written(case: Case) -> None:
    with pytest.raises(InputError, match=r"expected k of at most 3, .* found 4; lower k or choose gallery: all"):
        case.run(k=[4])
    with pytest.raises(InputError, match=r"expected k of at most 6"):
        case.run(k=[7], gallery="all")
    assert not case.outputs.card.exists()
    assert not case.outputs.ranked.exists()


def test_a_matrix_of_other_items_is_refused(case: Case) -> None:
    case.write_matrix("circle", np.ones((8, 2)), ids=list(reversed(case.ids)))
    with pytest.raises(InputError, match=r"circle.zarr.zip: expected the 8 items of the manifest"):
        case.run()


def test_a_matrix_that_is_not_there_is_named(case: Case) -> None:
    case.inputs.matrices[0].unlink()
    with pytest.raises(InputError, match=r"expected the matrix .*circle.zarr.zip; found no file"):
        case.run()


def test_a_regression_has_nothing_relevant(case: Case) -> None:
    case.write("regression")
    with pytest.raises(InputError, match="expected a task with labels"):
        case.run()


def test_a_part_without_queries_is_refused(case: Case) -> None:
    write_split(case.inputs.split, case.ids, ["train"] * 8, {})
    with pytest.raises(InputError, match=r"expected labelled test rows .* found none among 0"):
        case.run()


@pytest.mark.parametrize(
    "wrong", [{"features": []}, {"k": []}, {"k": [0]}, {"k": [1, 1]}, {"metric": "cosine"}, {"features": ["x", "x"]}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetrieveParams(**{"features": ["x"], **wrong})
