"""Grids: every cell once, options where they belong, impossible cells with their reason, wrong grids refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.experiments.grid import Trial, expand, read_grid
from store.errors import InputError


def trials(folder: Path, **grid: Any) -> list[Trial]:
    path = folder / "grid.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(grid, stream)
    return expand(read_grid(path))


def pairs(found: list[Trial]) -> list[tuple[str, str]]:
    return [(each.content["fusion"], each.content["head"]) for each in found]


def test_axes_are_crossed_in_their_order(tmp_path: Path) -> None:
    found = trials(tmp_path, features=[["a", "b"], ["c", "d"]], fusion=["concat", "late"], head=["knn", "svm"])
    assert [each.content["features"] for each in found] == [["a", "b"]] * 4 + [["c", "d"]] * 4
    assert pairs(found)[:4] == [("concat", "knn"), ("concat", "svm"), ("late", "knn"), ("late", "svm")]


def test_a_fusion_with_its_own_classifier_takes_that_once(tmp_path: Path) -> None:
    found = trials(tmp_path, features=[["a", "b"]], fusion=["attention", "concat"], head=["knn", "svm", "native"])
    assert pairs(found) == [("attention", "native"), ("concat", "knn"), ("concat", "svm")]


def test_options_stand_only_where_they_are_known(tmp_path: Path) -> None:
    grid = {"features": [["a"]], "head": ["knn", "mlp"], "base": {"scale": "l2", "lr": 0.1}}
    knn, *mlps = trials(tmp_path, **grid, vary={"epochs": [1, 2], "scale": ["none", "l2"]})
    assert knn.content == {"features": ["a"], "fusion": "none", "head": "knn", "scale": "none"}
    assert len(mlps) == 1 + 4
    assert mlps[1].content == {**knn.content, "head": "mlp", "lr": 0.1, "epochs": 1}
    assert {(each.content["epochs"], each.content["scale"]) for each in mlps[1:]} == {
        (1, "none"), (1, "l2"), (2, "none"), (2, "l2"),
    }  # fmt: skip


def test_equal_cells_are_tried_once(tmp_path: Path) -> None:
    assert len(trials(tmp_path, features=[["a"], ["a"]], head=["knn", "knn"], vary={"neighbours": [3, 3]})) == 1


def test_an_impossible_cell_says_why(tmp_path: Path) -> None:
    one, two = trials(tmp_path, features=[["a"], ["a", "b"]], fusion=["none"], head=["knn"])
    assert one.params is not None
    assert two.params is None
    assert "takes exactly one of `features`; found 2; use concat" in two.refused


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"features": [["a"]], "fusion": ["concatt"]}, "no fusion 'concatt' (did you mean 'concat'?)"),
        ({"features": [["a"]], "head": ["swm"]}, "no head 'swm' (did you mean 'svm'?)"),
        ({"features": [["a"]], "head": ["svm"], "base": {"neighbours": 3}}, "has the option 'neighbours'"),
        ({"features": [["a"]], "head": ["mlp"], "vary": {"lrr": [1]}}, "did you mean 'lr'"),
        ({"features": []}, "features"),
        ({"feature": [["a"]]}, "feature"),
    ],
)
def test_wrong_grids_are_refused_before_anything_runs(tmp_path: Path, grid: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        trials(tmp_path, **grid)
    assert said in str(caught.value)
