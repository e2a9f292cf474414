"""Twins and siblings that stay out of a query's gallery, roles from the split, relevance by meta: all by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.retrieve.params import RetrieveParams
from stages.retrieve.roles import Exclusions, Roles, check_reach
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store import MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.items.records import Item, ManifestInfo, Task, write_manifest
from store.items.split import write_split
from tests.rules.cards import flat, read_card

# id, place on the line, class, family, picture, part, role
ROWS = (
    ("t0", 0.0, "a", "f", "P", "train", "gallery"),
    ("t1", 1.0, "b", "f", "Q", "train", "gallery"),
    ("t2", 2.0, "a", "g", "Q", "train", "gallery"),
    ("t3", 4.0, "b", "g", "R", "train", None),
    ("d0", 3.0, "b", "h", "S", "dev", "gallery"),
    ("q0", 0.1, "a", "f", "P", "test", "query"),
    ("q1", 3.1, "b", None, "S", "test", "query"),
    ("q2", 2.2, "b", "g", "T", "test", None),
)


@dataclass(frozen=True)
class Line:
    """Eight items on a line; t0 and q0 have one picture, so have t1 and t2, d0 and q1."""

    root: Path

    def write(self, *, task: Task = "multiclass", roles: bool = True, pictures: bool = True) -> None:
        info = ManifestInfo("table", ".", task, ("a", "b") if task == "multiclass" else (), {}, (), ("family",))
        rows = []
        for name, at, label, family, picture, _, _ in ROWS:
            kept = (label,) if task == "multiclass" else None
            meta = {} if family is None else {"family": family}
            item = Item(name, f"{picture}.png" if pictures else None, {}, kept, at, name, meta=meta)
            rows.append((item, picture.encode() * 32 if pictures else None))
        write_manifest(self.root / "manifest.parquet", info, rows)
        given = [row[6] for row in ROWS] if roles else None
        write_split(self.root / "split.parquet", [row[0] for row in ROWS], [row[5] for row in ROWS], {}, given)
        header = MatrixHeader([row[0] for row in ROWS], 1, "float32", np.zeros(1, np.float32), {})
        there = np.ones(len(ROWS), np.bool_)
        places = np.array([[row[1]] for row in ROWS], np.float32)
        write_matrix(self.root / "m.zarr.zip", header, [MatrixBlock(places, there, there)], durability="none")

    def run(self, **params: Any) -> dict[str, Any]:
        settings = RetrieveParams(**{"features": ["m"], "scale": "none", "k": [1, 2], **params})
        inputs = RetrieveInputs(
            self.root / "manifest.parquet", self.root / "split.parquet", (self.root / "m.zarr.zip",)
        )
        outputs = RetrieveOutputs(self.root / "metrics.json", self.root / "ranked.parquet", self.root / "curve.csv")
        values = flat(run(settings, inputs, outputs, SilentProgress()))
        assert values == read_card(outputs.card)
        return values

    def ranked(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in pq.read_table(self.root / "ranked.parquet").to_pylist():
            found.setdefault(row["query"], []).append(row["id"])
        return found


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    made.write()
    return made


def test_the_split_says_who_asks_and_who_may_be_found(line: Line) -> None:
    values = line.run(gallery="split")
    assert line.ranked() == {"q0": ["t0", "t1"], "q1": ["d0", "t2"]}
    assert (values["n_queries"], values["n_gallery"], values["top_1"]) == (2, 4, 1.0)
    assert values["random_top_1"] == pytest.approx(2 / 4)  # t0 and t2 for q0; t1 and d0 for q1
    assert values["random_top_2"] == pytest.approx(1 - 1 / 6)


def test_the_rest_is_what_does_not_ask(line: Line) -> None:
    assert line.run(gallery="rest")["n_gallery"] == 5
    assert line.ranked()["q1"] == ["d0", "t3"]
    assert line.run(gallery="rest", query="dev")["n_gallery"] == 7
    assert line.ranked() == {"d0": ["q1", "q2"]}


def test_a_split_without_roles_is_refused_with_the_remedy(line: Line) -> None:
    line.write(roles=False)
    with pytest.raises(InputError, match=r"set split.protocol to P-image or P-group, or choose another gallery"):
        line.run(gallery="split")


def test_roles_without_a_query_are_refused(line: Line) -> None:
    roles = ["gallery"] * len(ROWS)
    write_split(line.root / "split.parquet", [row[0] for row in ROWS], [row[5] for row in ROWS], {}, roles)
    with pytest.raises(InputError, match=r"expected labelled rows whose role is query with an input .* none among 0"):
        line.run(gallery="split")


def test_a_column_of_meta_says_what_is_relevant_and_rows_without_it_stay_out(line: Line) -> None:
    values = line.run(relevance="same_meta", same="family")
    # q0 (f): t0, t1; q2 (g): t2, t3; q1 has no family.
    assert (values["n_queries"], values["n_queries_unlabelled"], values["n_gallery"]) == (2, 1, 4)
    assert values["top_1"] == 1.0
    assert values["recall_2"] == pytest.approx((2 / 2 + 1 / 2) / 2)  # q0 finds t0, t1; q2, at 2.2, t2 and t1
    assert values["random_top_1"] == 0.5


def test_a_regression_may_be_judged_by_meta(line: Line) -> None:
    line.write(task="regression")
    assert line.run(relevance="same_meta", same="family")["top_1"] == 1.0
    with pytest.raises(InputError, match=r"found a regression.*name a column of meta"):
        line.run()


def test_identical_pictures_leave_a_query_s_gallery_and_the_value_with_them_is_told_too(line: Line) -> None:
    plain = line.run(gallery="rest", k=[1])
    values = line.run(gallery="rest", k=[1], exclude_identical=True)
    # q0 loses t0, its nearest and right; q1 loses d0, its nearest and right; q2 is at t2, which is wrong.
    assert line.ranked() == {"q0": ["t1"], "q1": ["t3"], "q2": ["t2"]}
    assert plain["top_1"] == values["with_identical_top_1"] == pytest.approx(2 / 3)
    assert values["top_1"] == pytest.approx(1 / 3)
    # Without twins q0 and q1 find 4 items, with 1 (t2) and 2 (t1, t3) relevant; q2 finds 5, with 3.
    assert values["random_top_1"] == pytest.approx((1 / 4 + 2 / 4 + 3 / 5) / 3)
    assert values["mrr"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)  # q0: t1, t2; q2: t2, d0
    assert "with_identical_top_1" not in plain


def test_siblings_leave_a_query_s_gallery(line: Line) -> None:
    values = line.run(k=[1], exclude_same="family")
    # q0 (f) may find t2 and t3; q2 (g) t0 and t1; q1, of no family, everything.
    assert line.ranked() == {"q0": ["t2"], "q1": ["t3"], "q2": ["t1"]}
    assert values["top_1"] == 1.0
    assert values["random_top_1"] == pytest.approx((1 / 2 + 2 / 4 + 1 / 2) / 3)


def test_k_is_held_against_the_smallest_gallery(line: Line) -> None:
    assert line.run(k=[4])["top_4"] == 1.0
    with pytest.raises(InputError, match=r"expected k of at most 2, the gallery items that every query can find"):
        line.run(k=[3], exclude_same="family")


def test_a_query_for_which_everything_is_excluded_is_refused() -> None:
    roles = Roles(np.array([3, 4]), np.array([0, 1]), np.array([0, 1]), {})
    rule = Exclusions((np.array([7, 7, 8, 7, 8]),))
    with pytest.raises(InputError, match=r"found none for 1 of 2 queries, for which all are excluded; choose a larger"):
        check_reach(RetrieveParams(features=["x"], k=[1]), roles, rule, np.ones((1, 5), np.bool_))


def test_clusters_are_searched_without_what_is_excluded(line: Line) -> None:
    knn = line.run(gallery="rest", exclude_identical=True)
    ranked = line.ranked()
    one = line.run(gallery="rest", exclude_identical=True, head="kmeans_svm", clusters=1)
    assert line.ranked() == ranked
    assert one["with_identical_top_2"] == knn["with_identical_top_2"]


def test_exclusions_need_something_to_go_by(line: Line) -> None:
    with pytest.raises(InputError, match=r"expected a column of meta of .*found 'famly'"):
        line.run(exclude_same="famly")
    with pytest.raises(InputError, match=r"expected a column of meta of .*found 'famly'"):
        line.run(relevance="same_meta", same="famly")
    line.write(pictures=False)
    with pytest.raises(InputError, match="exclude_identical: expected items with pictures, found none"):
        line.run(exclude_identical=True)


def test_missing_codes_exclude_nothing_and_counting_by_blocks_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rule = Exclusions((rng.integers(-1, 4, 40), rng.integers(-1, 9, 40)))
    queries, gallery = np.arange(0, 40, 2), np.arange(5, 40)
    allowed = rule.allow(queries, gallery)
    for i, query in enumerate(queries):
        for j, item in enumerate(gallery):
            same = any(codes[query] == codes[item] >= 0 for codes in rule.codes)
            assert allowed[i, j] == (not same and query != item)
    monkeypatch.setattr("stages.retrieve.roles._STEP", 7)
    assert rule.reach(queries, gallery).tolist() == allowed.sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gallery": "split", "query": "dev"}, "`gallery: split` says who asks as well; remove `query`"),
        ({"same": "family"}, "`same` and `relevance: same_meta` go together"),
        ({"relevance": "same_meta"}, "`same` and `relevance: same_meta` go together"),
        ({"relevance": "same_meta", "same": "f", "exclude_same": "f"}, "leaves out all that `same` calls relevant"),
        ({"gallery": "others"}, "'train', 'rest', 'all' or 'split'"),
    ],
)
def test_options_of_one_kind_beside_another_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RetrieveParams(**{"features": ["x"], **wrong})
