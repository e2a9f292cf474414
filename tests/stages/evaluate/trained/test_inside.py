"""The t-SNE panels of a trained experiment: which there are, whose vectors, what is left out, and equal bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from stages.models.experiment import read_trained, restore
from stages.models.features.layout import FUSED, Layer
from store.errors import InputError, RunError
from tests.stages.evaluate.case import Experiment

Make = Callable[..., Experiment]
TABLES = ("weights.csv", "tsne.csv", "tsne_panels.csv")
HEADERS = {
    "tsne.csv": "panel,kind,id,class,x,y,highlight\n",
    "tsne_panels.csv": "panel,kind,rows,classes,perplexity,silhouette\n",
}


def look(made: Experiment, **chosen: Any) -> dict[str, Any]:
    tsne = {"experiments": ["x"], "classes": 3, **chosen}
    return made.evaluate(missing=None, weights=True, tsne=tsne)


@pytest.mark.parametrize(
    ("system", "panels"),
    [
        ("attention", ["t raw", "v raw", "t tuned tuned", "v tuned tuned", "fused vectors fused"]),
        ("towers", ["t raw", "v raw", "t tuned tuned", "fused vectors fused"]),
        ("knn", ["t raw", "v raw", "fused vectors fused"]),
        ("late", ["t raw", "v raw"]),
    ],
)
def test_every_layer_that_a_fusion_has_is_a_panel(system: str, panels: list[str], make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train(system)
    content = look(made)
    assert [f"{row['panel']} {row['kind']}" for row in made.table("tsne_panels.csv")] == panels
    assert content["tsne_classes"] == "c0, c1, c2"
    assert "tsne_left_out" not in content
    points = made.table("tsne.csv")
    for row in made.table("tsne_panels.csv"):
        mine = [point for point in points if point["panel"] == row["panel"]]
        assert len({point["id"] for point in mine}) == len(mine) == int(row["rows"]) == 32
        assert row["classes"] == "3"
        assert {point["highlight"] for point in mine} == {"0"}
        assert {point["kind"] for point in mine} == {row["kind"]}
    index = {f"i{row:03}": f"c{at}" for row, at in enumerate(made.targets.tolist())}
    assert all(point["class"] == index[point["id"]] for point in points)


def test_silhouettes_are_those_of_the_first_seeds_vectors_and_not_of_the_drawing(make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train("towers", seeds=[5, 1])
    look(made)
    about = read_trained(made.outputs.model)
    data = made.data(about.recipe.fusion)
    test = np.flatnonzero(data.parts == "test")
    layers = restore(about.recipe, data, 1, made.outputs.model, "cpu").layers(data.features(test)[:])
    found = {row["panel"]: float(row["silhouette"]) for row in made.table("tsne_panels.csv")}
    keys = {"t": Layer("raw", 0), "v": Layer("raw", 1), "t tuned": Layer("tuned", 0), "fused vectors": FUSED}
    expected = {name: silhouette_score(layers[key], made.targets[test]) for name, key in keys.items()}
    assert found == pytest.approx(expected, abs=2e-6)


def test_rows_that_lack_an_input_are_left_out_of_its_panels_alone(make_experiment: Make) -> None:
    usable, none = np.ones(160, bool), np.ones(160, bool)
    usable[[8, 9, 18]] = False
    none[[18, 28]] = False  # i018 has neither
    made = make_experiment("multiclass", usable=(usable, none))
    made.train("attention")
    look(made)
    ids = {
        row["panel"]: {point["id"] for point in made.table("tsne.csv") if point["panel"] == row["panel"]}
        for row in made.table("tsne_panels.csv")
    }
    lacking = {"t": {"i008", "i009", "i018"}, "v": {"i018", "i028"}, "fused vectors": {"i018"}}
    for panel, names in ids.items():
        gone = lacking[panel.removesuffix(" tuned")]
        assert not names & gone
        assert len(names) == 32 - len(gone)


def test_a_panel_with_too_few_rows_is_left_out_and_the_metrics_say_why(
    make_experiment: Make, caplog: pytest.LogCaptureFixture
) -> None:
    usable = np.ones(160, bool)
    usable[38:] = False
    made = make_experiment("multiclass", usable=(usable, None))
    made.train("knn")
    made.evaluate(missing=None)  # the same without a look
    content = look(made, classes=2)
    assert content["tsne_left_out"].startswith("t: ")
    assert content["tsne_left_out"].endswith("rows have it, and 5 are the fewest")
    assert {row["panel"] for row in made.table("tsne_panels.csv")} == {"v", "fused vectors"}
    assert any("no t-SNE panel of t: " in text for text in caplog.messages)


def test_few_rows_take_a_lower_perplexity_which_the_table_tells(make_experiment: Make) -> None:
    made = make_experiment("multilabel")
    made.train("knn")
    look(made, per_class=3)
    for row in made.table("tsne_panels.csv"):
        assert float(row["perplexity"]) == pytest.approx((int(row["rows"]) - 1) / 3, abs=1e-6)
        assert int(row["rows"]) <= 9


def test_listed_rows_of_the_class_are_marked_in_every_panel(make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train("late")
    test = [row for row in range(160) if row % 10 > 7]
    own = [row for row in test if made.targets[row] == 1][:2]
    other = next(row for row in test if made.targets[row] == 0)
    path = made.root / "noise.txt"
    path.write_text("".join(f"i{row:03}\n" for row in (*own, other, 0)))
    look(made, highlight={"class": "c1", "ids": str(path)})
    marked = [(point["panel"], point["id"]) for point in made.table("tsne.csv") if point["highlight"] == "1"]
    assert marked == [(panel, f"i{row:03}") for panel in ("t", "v") for row in own]
    before = made.table("tsne.csv")
    with pytest.raises(InputError, match="expected a class of the manifest; found 'c7'"):
        look(made, highlight={"class": "c7", "ids": str(path)})
    assert made.table("tsne.csv") == before


def test_only_listed_experiments_are_looked_into(make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train("knn")
    shutil.rmtree(made.outputs.model)
    content = look(made, experiments=["y"])
    assert not [key for key in content if key.startswith("tsne")]
    for name, header in HEADERS.items():
        assert (made.root / "tables" / "x" / name).read_text() == header


def test_a_regression_is_refused_and_nothing_is_written(make_experiment: Make) -> None:
    made = make_experiment("regression")
    made.train("attention")
    with pytest.raises(InputError, match=r"found the task regression; set `evaluate\.tsne: null`"):
        look(made)
    assert not (made.root / "tables").exists()


def test_a_model_of_another_run_is_not_drawn(make_experiment: Make) -> None:
    made = make_experiment()
    made.train()
    predictions = made.outputs.predictions.read_bytes()
    made.train(lr=0.1)
    made.outputs.predictions.write_bytes(predictions)
    with pytest.raises(RunError, match=r"expected the scores of the predictions; .* not of one run; run `dvc"):
        look(made)


def test_equal_inputs_give_equal_bytes(make_experiment: Make) -> None:
    made = make_experiment()
    made.train("attention")
    written = []
    for _ in range(2):
        look(made)
        written.append([(made.root / "tables" / "x" / name).read_bytes() for name in TABLES])
    assert written[0] == written[1]
    assert all(each.count(b"\n") > 3 for each in written[0])
