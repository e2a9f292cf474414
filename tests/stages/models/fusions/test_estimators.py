"""scikit-learn's own checks of estimators: every fusion, every head, and every transformer.

Each check that an estimator does not pass is listed with its reason; one that is listed and passes fails the test.
"""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.models.features.scaling import BlockScaler
from stages.models.fusions import estimators
from stages.models.fusions.attention import AttentionFusion
from stages.models.fusions.catalog import FUSIONS
from stages.models.fusions.estimators import FusionClassifier, FusionRegressor
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem
from store.errors import InputError
from tests.rules.scikit_checks import failed

NET = {"epochs": 4, "batch": 32, "lr": 0.02}
SMALL = {"width": 8, "words_width": 8, "joint_width": 8, "hidden": (16,)}
QUICK_HEADS: dict[str, dict[str, Any]] = {
    "linear": NET, "mlp": {**NET, "hidden": (16,)}, "dnn": NET, "forest": {"trees": 8, "max_depth": None},
    "linreg": {}, "svm": {}, "knn": {}, "kmeans_svm": {}, "dummy": {},
}  # fmt: skip
QUICK_FUSIONS: dict[str, dict[str, Any]] = {
    "none": {}, "concat": {}, "late": {}, "attention": {**NET, "hidden": (16,), "width": 8},
    "mf": {"components": 2, "hidden": 8, "epochs": 2}, "cmf": {"components": 2, "iterations": 2},
    "mmeda1": {"components": 2, "hidden": 8, "epochs": 2}, "mmeda2": {"components": 2, "hidden": 8, "epochs": 2},
    "vse": {**NET, **SMALL, "epochs": 15}, "cim": {**NET, **SMALL, "epochs": 15, "heads": 2},
    "coot": {**NET, **SMALL, "heads": 2, "score_width": 4},
    "sapool": {**NET, "width": 8, "hidden": (16,), "heads": 2},
    "dpm": {**NET, "hidden": (16,), "vse_epochs": 2, "vse_width": 8, "vse_words_width": 8, "vse_joint_width": 8},
    "dense": {**NET, "width": 8, "words_width": 8, "hidden": (16,)}, "towers": {**NET, "width": 16}, "early": {},
    "pca": {"components": 1}, "joint": {"epochs": 2, "width": 8, "heads": 2, "feedforward": 8, "layers": 1},
    "gated": {"epochs": 2}, "gated2d": {"epochs": 2},
}  # fmt: skip

# Seconds each: they walk over words and regions one after the other.
LONG = {"FusionClassifier cim native", "FusionClassifier vse native", "FusionClassifier coot native"}
LONG |= {"FusionClassifier dpm native"}

_BLIND = "it predicts without looking at the features"
_SHARES = (
    "shares of neighbours, or of the votes of trees, may be exactly 0 or 1, and the check takes that for a mistake"
)
_FEWER = "refuses fewer rows than neighbours, and says so in other words"
_BRIEF = "the check asks for 83 % right, and a single component does not tell its three classes apart"
_SLIGHT = "the check asks for an R2 of .5, and one or two components of ten columns do not keep that much"
_DIVERGES = "unscaled numbers around 100 make the training diverge, which it says"
_FAR = ("check_fit_idempotent", "check_fit_check_is_fitted", "check_n_features_in")
# Their last input must be pictures of S x S, and the checks send arrays of any width.
READS_PIXELS = {"early", "mmeda1", "mmeda2"}
EXPECTED: dict[str, dict[str, str]] = {
    "FusionClassifier concat dummy": {"check_classifiers_train": _BLIND},
    "FusionRegressor concat dummy": {"check_regressors_train": _BLIND},
    "FusionClassifier concat knn": {"check_classifiers_multilabel_output_format_predict_proba": _SHARES},
    "FusionRegressor concat knn": {"check_fit2d_1sample": _FEWER},
    "FusionClassifier pca svm": {"check_classifiers_train": _BRIEF},
    **{f"FusionRegressor {name} svm": {"check_regressors_train": _SLIGHT} for name in ("pca", "mf", "cmf")},
    "mmeda1": dict.fromkeys(_FAR, _DIVERGES),
    "mmeda2": dict.fromkeys(_FAR, _DIVERGES),
    "FusionClassifier concat forest": {"check_classifiers_multilabel_output_format_predict_proba": _SHARES},
}


def hold(estimator: BaseEstimator, name: str) -> None:
    found, expected = failed(estimator), EXPECTED.get(name, {})
    assert not {check: told for check, told in found.items() if check not in expected}, name
    assert not set(expected) - set(found), f"{name}: a check that is listed as failing passes"


def test_none_is_left_out_of_the_lists_above() -> None:
    assert set(QUICK_FUSIONS) == set(FUSIONS), "give each fusion options here with which it is trained in a blink"
    assert set(QUICK_HEADS) == set(HEADS), "give each head options here with which it is trained in a blink"


def every_estimator() -> list[Any]:
    """Every head behind `concat`; every other fusion with its own classifier, or before a quick head.

    Left out is what would be run twice: a regressor differs from a classifier in its targets alone, so fusions are
    checked as classifiers, and one of them as both.
    """
    heads = [
        kind("concat", name, options=QUICK_HEADS.get(name))
        for name, row in HEADS.items()
        for kind, task in ((FusionClassifier, "multiclass"), (FusionRegressor, "regression"))
        if task in row.tasks
    ]
    fusions = [fused(FusionClassifier, name) for name in FUSIONS if name not in {"concat", *READS_PIXELS}]
    made = [*heads, *fusions, fused(FusionRegressor, "attention")]
    named = {f"{type(each).__name__} {each.fusion} {each.head}": each for each in made}
    return [pytest.param(each, id=name, marks=pytest.mark.slow if name in LONG else ()) for name, each in named.items()]


def fused(kind: type[Any], name: str) -> Any:
    head = "native" if FUSIONS[name].native else "svm"
    return kind(name, head, options=QUICK_FUSIONS.get(name))


@pytest.mark.parametrize("estimator", every_estimator())
def test_estimators_keep_the_rules(estimator: Any, request: pytest.FixtureRequest) -> None:
    if estimator.fusion not in QUICK_FUSIONS or estimator.head not in {*QUICK_HEADS, "native"}:
        pytest.fail("a new fusion or head: give it options above with which it is trained in a blink")
    hold(estimator, request.node.callspec.id)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FUSIONS if name not in {"concat", "attention", *READS_PIXELS}])
def test_every_fusion_keeps_the_rules_as_a_regressor(name: str) -> None:
    estimator = fused(FusionRegressor, name)
    hold(estimator, f"FusionRegressor {name} {estimator.head}")


@pytest.mark.parametrize("name", sorted(READS_PIXELS))
def test_fusions_that_read_pixels_refuse_any_other_array_in_words(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(20, 5))
    with pytest.raises(ValueError, match="pixels"):
        fused(FusionClassifier, name).fit(x, np.arange(20) % 2)


@pytest.mark.parametrize("scale", ["none", "standard", "l2"])
def test_the_scaler_keeps_the_rules(scale: Any) -> None:
    hold(BlockScaler(scale=scale), f"BlockScaler {scale}")


@pytest.mark.parametrize("name", [name for name, row in FUSIONS.items() if row.vectors and name != "none"])
def test_transformers_keep_the_rules(name: str) -> None:
    row = FUSIONS[name]
    made = row.build(None, row.options(**QUICK_FUSIONS[name]), Problem("multilabel", 1, 0))  # type: ignore[arg-type]
    hold(made, name)


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
    model.fit(LabelledRows(x[:100], y[:100]), LabelledRows(x[100:120], y[100:120]))
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
