"""The estimators do what `FusedModel` does, for whoever has arrays; labels, rows for early stopping, files."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.errors import InputError
from stages.fusions import estimators
from stages.fusions.attention import AttentionFusion
from stages.fusions.estimators import FusionClassifier, FusionRegressor
from stages.fusions.model import FusedModel
from stages.heads.model import Problem, Rows

MLP = {"hidden": (16,), "epochs": 15, "lr": 0.02, "batch": 32}
NATIVE = {**MLP, "width": 8}


def test_its_example_runs() -> None:
    found = doctest.testmod(estimators)
    assert (found.failed, found.attempted) == (0, 3)


@pytest.mark.parametrize(("fusion", "head", "options"), [("concat", "mlp", MLP), ("attention", "native", NATIVE)])
def test_it_is_the_fused_model_of_the_same_recipe(fusion: str, head: str, options: Any, make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x, y = toy.joined, toy.y
    ours = FusionClassifier(fusion, head, (5, 4), "standard", options, seed=3)
    ours.fit(x[:100], y[:100], dev=(x[100:120], y[100:120]))
    model = FusedModel((5, 4), ours._recipe("multiclass"), Problem("multiclass", 3, 3))
    model.fit(Rows(x[:100], y[:100]), Rows(x[100:120], y[100:120]))
    np.testing.assert_array_equal(ours.predict_proba(x[120:]), model.scores(x[120:]))
    assert ours.history_ == model.history
    assert ours.score(x[120:], y[120:]) > 0.6


def test_words_are_classes_too_and_dev_may_lack_some(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x, words = toy.joined[:, :9], np.array(["cat", "dog", "owl"])[toy.y]
    model = FusionClassifier(options=MLP).fit(x[:100], words[:100], dev=(x[100:103], words[100:103]))
    assert model.classes_.tolist() == ["cat", "dog", "owl"]
    assert model.n_features_in_ == 9
    assert set(model.predict(x[120:])) <= {"cat", "dog", "owl"}
    assert not np.isnan(model.history_[0].valid_loss)


def test_a_class_that_only_dev_has_is_refused(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x, y = toy.joined[:, :9], toy.y
    with pytest.raises(InputError, match=r"dev: expected classes that y has; found 7"):
        FusionClassifier(head="dummy").fit(x, y, dev=(x[:2], np.array([0, 7])))


@pytest.mark.parametrize("head", ["mlp", "knn", "svm"])
def test_several_labels_give_an_indicator(head: str, make_toy: Any) -> None:
    toy = make_toy("multilabel")
    x, y = toy.joined[:, :9], toy.y.astype(int)
    model = FusionClassifier(head=head, scale="standard", options=MLP if head == "mlp" else None)
    model.fit(x[:120], y[:120], dev=(x[120:], y[120:]))
    found, scores = model.predict(x[120:]), model.predict_proba(x[120:])
    assert found.shape == scores.shape == (40, 3)
    np.testing.assert_array_equal(found, scores >= 0.5)
    assert (found == y[120:]).mean() > 0.7
    assert model.classes_.tolist() == [0, 1, 2]


def test_numbers_are_learned_in_their_own_unit(make_toy: Any) -> None:
    toy = make_toy("regression")
    x, y = toy.joined[:, :9], toy.y[:, 0] * 1000 + 5000
    model = FusionRegressor(options={**MLP, "epochs": 40}).fit(x[:120], y[:120], dev=(x[120:], y[120:]))
    assert model.predict(x[120:]).shape == (40,)
    assert model.score(x[120:], y[120:]) > 0.8


@pytest.mark.parametrize("labels", ["words", "numbers", "indicator", "values", "truth"])
def test_it_comes_back_from_disk_without_pickle(labels: str, make_toy: Any, tmp_path: Path) -> None:
    task = {"indicator": "multilabel", "values": "regression"}.get(labels, "multiclass")
    toy = make_toy(task)
    x, y = toy.joined, toy.y[:, 0] if labels == "values" else toy.y
    y = np.array(["a", "bc", "d"])[y] if labels == "words" else y > 0 if labels == "truth" else y
    kind: Any = FusionRegressor if labels == "values" else FusionClassifier
    model = kind(layout=(5, 4), scale="l2", options={**MLP, "epochs": 2}).fit(x, y)
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".safetensors", ".json"}
    again = clone(model).restore(tmp_path)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    if labels != "values":
        np.testing.assert_array_equal(again.classes_, model.classes_)
        assert again.classes_.dtype == model.classes_.dtype
    with pytest.raises(ValueError, match="features"):
        again.predict(x[:, :3])


def test_it_stands_in_pipelines_and_searches(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x, y = toy.joined[:, :9], toy.y
    pipeline = make_pipeline(StandardScaler(), FusionClassifier(head="svm"))
    search = GridSearchCV(pipeline, {"fusionclassifier__options": [{"c": 0.001}, {"c": 1.0}]}, cv=2).fit(x, y)
    assert search.best_params_["fusionclassifier__options"] == {"c": 1.0}


def test_an_input_that_a_row_lacks_is_left_out(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    x = toy.joined.copy()
    x[::2, 9], x[::2, :5] = 0, 123.0
    model = FusionClassifier("attention", "native", (5, 4), options=NATIVE).fit(x, toy.y)
    wild = x.copy()
    wild[::2, :5] = -5.0
    np.testing.assert_array_equal(model.predict_proba(wild), model.predict_proba(x))
    assert isinstance(model.model_.model.model.fitted_, AttentionFusion)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "concatt"}, r"fusion: expected one of .*; found 'concatt' \(did you mean 'concat'\?\)"),
        ({"head": "mpl"}, r"head: expected one of .*; found 'mpl' \(did you mean 'mlp'\?\)"),
        ({"head": "native"}, r"head: expected one of .*; found 'native'"),
        ({"fusion": "attention"}, r"head: expected one of \['native'\]; found 'mlp'"),
        ({"options": {"epoch": 2}}, r"option: expected one of .*; found 'epoch' \(did you mean 'epochs'\?\)"),
        ({"options": {"epochs": 0}}, "epochs"),
        ({"layout": (5, 5)}, r"X: expected 12 features for the inputs \[5, 5\] .*; found 11"),
        ({"layout": (5, 4), "fusion": "none"}, "fusion 'none' takes exactly one"),
        ({"options": {"modality_dropout": 0.5}}, "of 1 input none can be dropped"),
    ],
)
def test_wrong_arguments_are_refused_when_it_is_fitted(arguments: dict[str, Any], message: str, make_toy: Any) -> None:
    toy = make_toy("multiclass")
    model = FusionClassifier(**arguments)
    with pytest.raises(ValueError, match=message):
        model.fit(toy.joined, toy.y)


def test_nan_is_refused_in_rows_and_in_dev(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    bad = toy.joined.copy()
    bad[3, 2] = np.nan
    for x, dev in ((bad, None), (toy.joined, (bad, toy.y))):
        with pytest.raises(ValueError, match="NaN"):
            FusionClassifier(head="knn").fit(x, toy.y, dev=dev)
    with pytest.raises(ValueError, match="NaN"):
        FusionClassifier(head="knn").fit(toy.joined, toy.y).predict(bad)
