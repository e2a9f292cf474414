"""scikit-learn's own checks of estimators: every fusion, every head, and every transformer.

Each check that an estimator does not pass is listed with its reason; one that is listed and passes fails the test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from stages.fusions.catalog import FUSIONS
from stages.fusions.estimators import FusionClassifier, FusionRegressor
from stages.fusions.scaling import BlockScaler
from stages.heads.catalog import HEADS
from stages.heads.model import Problem
from tests.scikit_checks import failed

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


def estimators() -> list[Any]:
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


@pytest.mark.parametrize("estimator", estimators())
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
