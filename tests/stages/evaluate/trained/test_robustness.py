"""The checks of docs/systems/evaluation.md#missing-inputs on trained models, numbers by hand, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from stages.evaluate.metrics import multilabel_metrics
from stages.evaluate.scoring import tune_threshold
from stages.evaluate.trained.robustness import ThinnedTable
from stages.evaluate.truth import Truth, scores_of
from stages.models.experiment import read_trained, restore
from stages.models.heads.model import blocks_of
from stages.models.measures.decisions import decide
from store.errors import InputError, RunError
from store.items.manifest import Manifest
from store.items.records import Task
from store.items.split import read_split
from tests.stages.evaluate.case import SYSTEMS, Experiment

Make = Callable[..., Experiment]
EVERY = pytest.mark.parametrize("system", SYSTEMS)
MAIN = {"multilabel": "subset_accuracy", "multiclass": "top_2", "regression": "mse"}


@EVERY
def test_removing_nothing_gives_the_scores_of_the_predictions_to_the_last_bit(
    system: str, make_experiment: Make
) -> None:
    made = make_experiment()
    made.train(system, seeds=[3])
    about = read_trained(made.outputs.model)
    data = made.data(about.recipe.fusion)
    model = restore(about.recipe, data, 3, made.outputs.model, "cpu")
    table = data.features(np.flatnonzero(data.parts == "test"))
    whole = ThinnedTable(table, data.layout, table.missing, (False, False))
    manifest = Manifest.open(made.dataset.manifest)
    truth = Truth.read(manifest, read_split(made.dataset.split, manifest.ids()), "test")
    _, expected = scores_of(made.outputs.predictions, truth)
    np.testing.assert_array_equal(np.concatenate([model.scores(each) for each in blocks_of(whole)]), expected[3])


@pytest.mark.parametrize("task", get_args(Task))
def test_the_full_condition_reproduces_the_metrics(task: Task, make_experiment: Make) -> None:
    made = make_experiment(task)
    made.train(seeds=[0, 1])
    content, found = made.evaluate(top_k=2), made.outcomes()
    names = [name for name in found["full", "all rows"] if name in content]
    assert MAIN[task] in names
    assert {name: float(found["full", "all rows"][name]) for name in names[1:]} == {
        name: content[name] for name in names[1:]
    }
    assert names[0] == "rows"
    assert content["missing"] == "image, caption"
    scopes = {"all rows"} if task == "regression" else {"all rows", "2 classes"}
    assert set(found) == {(each, scope) for each in ("full", "without image", "without caption") for scope in scopes}


@pytest.mark.parametrize("system", ["mlp", "knn", "attention"])
def test_an_input_missing_on_all_rows_is_not_missed(system: str, make_experiment: Make) -> None:
    made = make_experiment(usable=(None, np.zeros(160, bool)))
    made.train(system)
    content, found = made.evaluate(), made.outcomes()
    for scope in ("all rows", "2 classes"):
        gone = found["without image", scope]
        assert {gone[f"{name}_delta"] for name in ("f1_macro", "subset_accuracy")} == {"0.000000"}
        assert gone | {"condition": ""} == found["full", scope] | {"condition": ""}
    assert content["missing_image_f1_macro_delta"] == 0
    assert content["missing_caption_f1_macro_delta"] != 0


def test_numbers_by_hand_with_the_threshold_of_each_seed(make_experiment: Make) -> None:
    made = make_experiment()
    made.train(seeds=[0, 1])
    content, found = made.evaluate(threshold="dev"), made.outcomes()
    data, about = made.data("concat"), read_trained(made.outputs.model)
    test, dev = (np.flatnonzero(data.parts == part) for part in ("test", "dev"))
    drops = []
    for seed in (0, 1):
        model = restore(about.recipe, data, seed, made.outputs.model, "cpu")
        threshold = tune_threshold(data.targets[dev] > 0, model.scores(data.features(dev)[:]))
        x, truth = data.features(test)[:], data.targets[test] > 0
        full = multilabel_metrics(truth, decide(model.scores(x), threshold, "none"))["f1_macro"]
        x[:, :5], x[:, -2] = 0.25, 0.0  # the missing vector of the text, and its presence
        drops.append(multilabel_metrics(truth, decide(model.scores(x), threshold, "none"))["f1_macro"] - full)
    assert content["missing_caption_f1_macro_delta"] == pytest.approx(np.mean(drops), abs=1e-6)
    assert float(found["without caption", "all rows"]["f1_macro_delta"]) == content["missing_caption_f1_macro_delta"]
    assert drops[0] != drops[1]


def test_several_texts_are_removed_one_by_one_and_together(make_experiment: Make) -> None:
    made = make_experiment(fields=(("title",), ("description",)))
    made.train("late")
    made.evaluate()
    conditions = {condition for condition, _ in made.outcomes()}
    assert conditions == {"full", "without title", "without description", "without all texts"}


def test_unlabelled_rows_are_scored_in_the_same_blocks_and_not_counted(make_experiment: Make) -> None:
    made = make_experiment()
    made.targets[8] = np.nan
    made.train(seeds=[0])
    content, found = made.evaluate(), made.outcomes()
    assert (content["rows"], found["full", "all rows"]["rows"]) == (31, "31")
    assert float(found["full", "all rows"]["f1_macro"]) == content["f1_macro"]


def test_fused_features_are_told_and_not_passed_over(make_experiment: Make) -> None:
    made = make_experiment()
    made.train()
    shutil.rmtree(made.outputs.model)  # nothing is opened
    content, found = made.evaluate(made.fused()), made.outcomes()
    assert content["missing"].startswith("not possible: v of `fuse` holds several fields in one vector")
    assert found["not possible", "all rows"]["note"] == content["missing"]
    assert float(found["full", "all rows"]["f1_macro"]) == content["f1_macro"]
    assert ("full", "2 classes") in found
    assert not [key for key in content if key.endswith("_delta")]


def test_who_pulled_the_predictions_alone_is_told_what_to_pull(make_experiment: Make) -> None:
    made = make_experiment()
    made.train()
    made.matrices[0].unlink()
    with pytest.raises(InputError, match=r"expected the matrix .*t\.zarr\.zip; found no file; run `dvc repro` \(or"):
        made.evaluate()
    shutil.rmtree(made.outputs.model)
    with pytest.raises(InputError, match=r"expected a trained model at .*recipe\.json; found no file; .*`dvc pull`"):
        made.evaluate()
    assert not (made.root / "tables").exists()
    assert "f1_macro" in made.evaluate(missing=None)


def test_models_of_another_run_are_refused(make_experiment: Make) -> None:
    made = make_experiment()
    made.train()
    predictions = made.outputs.predictions.read_bytes()
    made.train(lr=0.1)
    made.outputs.predictions.write_bytes(predictions)
    with pytest.raises(RunError, match=r"seed 0: expected the scores of the predictions; .* not of one run; run `dvc"):
        made.evaluate()
    made.train(seeds=[0, 1])
    made.outputs.predictions.write_bytes(predictions)
    with pytest.raises(RunError, match=r"expected models of the seeds \[0\]; found some of \[0, 1\]"):
        made.evaluate()
    with pytest.raises(RunError, match=r"expected models of the features \['v', 't'\]; found some of \['t', 'v'\]"):
        made.evaluate(replace(made.trained, features=("v", "t")))


def test_without_the_test_there_is_a_header_and_no_model_is_read(make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train("knn")
    shutil.rmtree(made.outputs.model)
    content = made.evaluate(missing=None)
    assert "missing" not in content
    table = (made.root / "tables" / "x" / "missing.csv").read_text()
    assert table == ("condition,scope,rows,accuracy,top_5,f1_macro,accuracy_delta,top_5_delta,f1_macro_delta,note\n")


def test_evaluating_predictions_alone_imports_nothing_heavy() -> None:
    code = "import sys, stages.evaluate.run; print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_equal_inputs_give_equal_bytes(make_experiment: Make) -> None:
    made = make_experiment()
    made.train("attention")
    written = []
    for _ in range(2):
        made.evaluate()
        written.append((made.root / "metrics" / "x.json").read_bytes())
        written.append((made.root / "tables" / "x" / "missing.csv").read_bytes())
    assert written[:2] == written[2:]
