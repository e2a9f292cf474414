"""`diptych compare` on a project whose matrices and results are written by hand, so that every figure is known."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import paths
from pipeline.experiments.compare import Question, compare, print_comparison
from pipeline.experiments.paired import Change, changes
from pipeline.params.sections import Params, validate_params
from stages.contract import SilentProgress
from stages.models.measures.swaps import paired_f1, paired_mean
from store import MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from store.items.records import Item, ManifestInfo, write_manifest
from tests.pipeline.project import ROOT, SMALL, call, write_params
from tests.rules.cards import write_card

IDS = [f"i{row:02}" for row in range(40)]
LEFT = np.random.default_rng(0).normal(size=(40, 6))
RIGHT = LEFT @ np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0] * 3
ASKED = Question([1, 5], 30, 0)
HEAD = {"head": "knn", "neighbours": 3}


def content() -> dict[str, Any]:
    made = copy.deepcopy(SMALL)
    made["reduce"] = {
        "a-small": {"features": "caption-hash", "method": "pca", "components": 2},
        "b-small": {"features": "image-colors", "method": "pca", "components": 2},
        "b-other": {"features": "image-colors", "method": "pca", "components": 3},
    }
    made["train"] = {
        "a": {"features": ["caption-hash"], **HEAD},
        "b": {"features": ["image-colors"], **HEAD},
        "b-more": {"features": ["image-colors"], "head": "knn", "neighbours": 5},
        "a-reduced": {"features": ["a-small"], **HEAD},
        "b-reduced": {"features": ["b-small"], **HEAD},
        "b-reduced-more": {"features": ["b-other"], **HEAD},
    }
    made["retrieve"] = {
        "near-a": {"features": ["caption-hash"], "k": [2, 4]},
        "near-b": {"features": ["image-colors"], "k": [2, 4]},
        "near-both": {"features": ["caption-hash", "image-colors"], "k": [2, 4]},
    }
    return made


def params(**sections: Any) -> Params:
    return validate_params({**content(), **sections}, "", Path("params.yaml"))


def write_features(name: str, vectors: np.ndarray, *, missing: tuple[int, ...] = (), ids: list[str] = IDS) -> None:
    usable = ~np.isin(np.arange(len(ids)), missing)
    header = MatrixHeader(ids, vectors.shape[1], "float32", np.zeros(vectors.shape[1], np.float32), {})
    path = params().matrices.matrix("embed", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    info = write_matrix(path, header, [MatrixBlock(vectors.astype(np.float32), usable, usable)], durability="none")
    write_card(paths.card("embed", name), {"digest": info.digest})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    paths.PREPARE.mkdir(parents=True)
    info = ManifestInfo("table", ".", "multiclass", ("x", "y"), {}, ())
    rows = [(Item(name, None, {}, ("x",), None, f"g{at // 2}"), None) for at, name in enumerate(IDS)]
    write_manifest(paths.MANIFEST, info, rows)
    write_features("caption-hash", LEFT, missing=(3,))
    write_features("image-colors", RIGHT, missing=(3, 4, 5))
    return tmp_path


def test_a_rotated_copy_is_wholly_alike_and_each_side_says_what_it_costs() -> None:
    paths.RUNS.mkdir(parents=True)
    run = {"encoder": "hash", "model": None, "rate": 250.0}
    (paths.RUNS / "embed-caption-hash.json").write_text(json.dumps(run))
    (paths.RUNS / "embed-image-colors.json").write_text(json.dumps({**run, "encoder": "another"}))
    found = compare("caption-hash", "image-colors", ASKED, params(), SilentProgress())
    assert (found.items, found.rows, found.first.rows, found.second.rows) == (40, 37, 39, 37)
    assert (found.cka, found.cka_debiased, found.overlap) == (1, 1, {1: 1, 5: 1})
    assert found.chance == {1: pytest.approx(1 / 36, abs=1e-6), 5: pytest.approx(5 / 36, abs=1e-6)}
    assert (found.queries, found.first.dim, found.first.dtype, found.first.row_bytes) == (30, 6, "float32", 24)
    assert found.first.made_by == "embed: hash of caption"
    assert found.first.seconds_per_1000 == 4.0
    assert found.second.seconds_per_1000 is None  # the run was that of another encoder
    assert found == compare("caption-hash", "image-colors", ASKED, params(), SilentProgress())
    print_comparison(found)


def test_the_seed_chooses_who_is_asked() -> None:
    write_features("image-colors", np.random.default_rng(2).normal(size=(40, 3)))
    few = [Question([3], 10, seed) for seed in (0, 1, 0)]
    shares = [compare("caption-hash", "image-colors", each, params(), SilentProgress()).overlap[3] for each in few]
    assert shares[0] == shares[2] != shares[1]


def other_items() -> None:
    write_features("image-colors", RIGHT, ids=[f"other{row}" for row in range(40)])


def few_in_common() -> None:
    write_features("image-colors", RIGHT, missing=tuple(range(34)))


def constant() -> None:
    write_features("image-colors", np.full((40, 4), 0.1))


def no_matrix() -> None:
    params().matrices.matrix("embed", "image-colors").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_items, "expected the 40 items of the manifest in its order"),
        (few_in_common, "at least 7 rows that both caption-hash and image-colors have; found 6; lower --k"),
        (constant, "expected vectors that differ between rows, found the same in all 39 rows of the second"),
        (no_matrix, r"found no file; run `dvc repro`"),
    ],
)
def test_what_cannot_be_compared_is_refused(spoil: Callable[[], None], message: str) -> None:
    spoil()
    with pytest.raises(InputError, match=message):
        compare("caption-hash", "image-colors", Question([1, 6], 30, 0), params(), SilentProgress())


def test_one_entry_twice_is_no_comparison() -> None:
    with pytest.raises(InputError, match="expected two entries; found 'caption-hash' twice"):
        compare("caption-hash", "caption-hash", ASKED, params(), SilentProgress())


def test_the_command_exits_2_for_a_wrong_name_and_prints_json_for_a_right_one(project: Path) -> None:
    write_params(project, content())
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    done = call(project, "diptych", "compare", "caption-hash", "image-colrs")
    assert (done.returncode, done.stdout) == (2, "")
    assert "found 'image-colrs' (did you mean 'image-colors'?); there are ['caption-hash'," in done.stderr
    done = call(project, "diptych", "compare", "caption-hash", "image-colors", "-k", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overlap"] == {"2": 1.0}


def pairs(*names: str, **sections: Any) -> list[tuple[str, str]]:
    return [(each.first, each.second) for each in changes(params(**sections), *names)]


def test_pairs_are_the_same_but_for_the_features_however_deep_they_stand() -> None:
    assert pairs("caption-hash", "image-colors") == [("a", "b"), ("a-reduced", "b-reduced"), ("near-a", "near-b")]
    assert pairs("a-small", "b-small") == [("a-reduced", "b-reduced")]
    assert pairs("image-colors", "b-other") == [("b", "b-reduced-more")]
    assert pairs("a-small", "both") == []


def test_a_pair_that_was_not_scored_says_what_to_run() -> None:
    write_card(paths.card("evaluate", "a"), {"task": "multiclass", "f1_macro": 0.5})
    first = changes(params(), "caption-hash", "image-colors")[0]
    assert first == Change("evaluate", "a", "b", "f1_macro", note="b has no f1_macro yet; run `dvc repro evaluate@b`")


def write_predictions(name: str, decisions: np.ndarray, truth: np.ndarray, ids: list[str]) -> None:
    """Write decisions [seeds, n] as `evaluate` does."""
    seeds, count = decisions.shape
    table = pa.table(
        {
            "seed": pa.array(np.repeat(np.arange(seeds), count), pa.int32()),
            "id": ids * seeds,
            "group": [f"g{at // 2}" for at in range(count)] * seeds,
            "truth": [["xy"[k]] for k in truth] * seeds,
            "predicted": [["xy"[k]] for k in decisions.ravel()],
        }
    )
    about = json.dumps({"task": "multiclass", "part": "test", "classes": ["x", "y"], "manifest": None})
    folder = paths.DATA / "evaluate" / name
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({b"diptych": about.encode()}), folder / "predictions.parquet")


def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 20)
    right, worse = (
        np.where(rng.random((seeds, 20)) < share, truth, 1 - truth) for seeds, share in ((1, 0.9), (3, 0.5))
    )
    for name, decisions in (("a", right), ("b", worse)):
        write_predictions(name, decisions, truth, IDS[:20])
        write_card(paths.card("evaluate", name), {"task": "multiclass", "f1_macro": 0.75, "accuracy": 0.5})
    return truth, right, worse


@pytest.mark.parametrize("metric", ["f1_macro", "accuracy"])
def test_the_interval_is_that_of_the_bootstrap(metric: str) -> None:
    truth, right, worse = scored()
    groups = np.unique([f"g{at // 2}" for at in range(20)], return_inverse=True)[1]
    wide = np.eye(2, dtype=bool)
    expected = (
        paired_f1(wide[truth], [wide[each] for each in right], [wide[each] for each in worse], groups)
        if metric == "f1_macro"
        else paired_mean(*(np.mean(each == truth, axis=0) for each in (right, worse)), groups)
    )
    found = changes(params(report={**SMALL["report"], "primary": metric}), "caption-hash", "image-colors")[0]
    told = [round(value, 6) for value in (expected.low, expected.high, expected.p)]
    assert (found.metric, found.difference, [found.low, found.high, found.p]) == (metric, 0.0, told)
    assert 0 < expected.low < expected.high


def test_what_cannot_be_tested_says_why() -> None:
    truth, right, _ = scored()
    write_predictions("b", right, truth, IDS[10:30])
    assert "a and b were scored on other rows" in changes(params(), "caption-hash", "image-colors")[0].note
    (paths.DATA / "evaluate/a/predictions.parquet").write_bytes(b"PAR1")
    found = changes(params(), "caption-hash", "image-colors")[0]
    assert found.note == "no paired test: a has no sound table of predictions; run `dvc repro evaluate@a`"
    assert (found.difference, found.low, found.p) == (0.0, None, None)
    write_card(paths.card("evaluate", "a"), {"task": "multiclass", "f1_micro": 0.5})
    write_card(paths.card("evaluate", "b"), {"task": "multiclass", "f1_micro": 0.7})
    micro = params(report={**SMALL["report"], "primary": "f1_micro"})
    found = changes(micro, "caption-hash", "image-colors")[0]
    assert (found.difference, found.note[:27]) == (-0.2, "no paired test of f1_micro:")


def test_retrievals_are_set_against_each_other_query_by_query() -> None:
    folder = paths.DATA / "retrieve"
    folder.mkdir(parents=True)
    ranks = {"near-a": [1, 2, 1, 1, 2, 1], "near-b": [3, 1, 4, 4, 3, 3]}
    for name, first in ranks.items():
        rows = [(IDS[q], rank, rank == place) for q, place in enumerate(first) for rank in range(1, 5)]
        columns = zip(("query", "rank", "relevant"), map(list, zip(*rows, strict=True)), strict=True)
        pq.write_table(pa.table(dict(columns)), folder / f"{name}.parquet")
        write_card(paths.card("retrieve", name), {"top_2": float(np.mean(np.array(first) <= 2)), "n_unanswerable": 0})
    found = changes(params(), "caption-hash", "image-colors")[2]
    expected = paired_mean(np.ones(6), np.array([0.0, 1, 0, 0, 0, 0]), np.arange(6) // 2)
    assert (found.verb, found.metric, found.difference) == ("retrieve", "top_2", 0.833333)
    assert [found.low, found.high, found.p] == [round(each, 6) for each in (expected.low, expected.high, expected.p)]
    write_card(paths.card("retrieve", "near-b"), {"top_2": 0.5, "n_unanswerable": 1})
    assert "near-b has queries that nothing could answer" in changes(params(), "caption-hash", "image-colors")[2].note
