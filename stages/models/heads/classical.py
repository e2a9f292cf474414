"""scikit-learn's heads (`forest`, `svm`, `knn`, `linreg`, `dummy`) behind the one `Model` surface; saved with skops."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from stages.models.catalog import Options
from stages.models.heads.model import Array, LabelledRows, Problem, Scores, dense
from stages.models.heads.options import DummyOptions, ForestOptions, KnnOptions, LinregOptions, SvmOptions
from stages.models.heads.skops_file import load_estimator, save_estimator
from stages.models.measures.neighbours import nearest
from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from store.errors import InputError


def mean_targets(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[np.float64]:
    """Average the targets of the nearest train rows of each row, of equally near ones the first.

    scikit-learn's own `predict_proba` does not promise which of several repeated vectors count.

    Parameters
    ----------
    estimator : KNeighborsRegressor or KNeighborsClassifier
        Fitted; a classifier of labels that are 0 or 1, both of which occur.
    x : ndarray, shape [n, D]

    Returns
    -------
    ndarray of float64, shape [n, targets]

    Source: docs/systems/heads.md#knn.
    """
    found = _targets(estimator, x).mean(axis=1)
    return np.asarray(found.reshape(len(x), -1), dtype=np.float64)


def class_shares(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[np.float64]:
    """Tell the share of every class among the nearest train rows of each row: [n, classes of a classifier]."""
    classes = _targets(estimator, x)
    shares = np.zeros((len(x), len(estimator.classes_)))
    np.add.at(shares, (np.arange(len(x))[:, None], classes), 1.0 / classes.shape[1])
    return shares


def _targets(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[Any]:
    """Return the targets as the estimator keeps them, classes by number: [n, k] or [n, k, targets]."""
    rows = nearest(x, estimator._fit_X, estimator.n_neighbors).indices
    return np.asarray(estimator._y[rows])


_ROWS = 4096  # rows of the kernel matrix held at once


def is_shared(estimator: object) -> bool:
    """Tell whether `margins` serves this fitted estimator: a scaler, then RBF machines of two classes each."""
    if not isinstance(estimator, Pipeline) or not isinstance(estimator[-1], OneVsRestClassifier):
        return False
    return all(isinstance(each, SVC) and each.kernel == "rbf" for each in estimator[-1].estimators_)


def shared_margins(estimator: Pipeline, x: NDArray[Any]) -> NDArray[np.float64]:
    """Compute what `decision_function` gives, each kernel value once.

    scikit-learn lets every machine of a one-against-the-rest classifier compute its own: for 36 labels, 36 times.

    Parameters
    ----------
    estimator : Pipeline
        Fitted, one for which `is_shared` holds.
    x : ndarray, shape [n, D]

    Returns
    -------
    ndarray of float64, shape [n, labels]
    """
    machines = estimator[-1].estimators_
    # Indices of support vectors are those of the train rows, which all machines share.
    rows = np.unique(np.concatenate([each.support_ for each in machines]))
    vectors = np.empty((len(rows), machines[0].support_vectors_.shape[1]))
    weights = np.zeros((len(rows), len(machines)))
    for label, each in enumerate(machines):
        places = np.searchsorted(rows, each.support_)
        vectors[places] = each.support_vectors_
        weights[places, label] = each.dual_coef_[0]
    offsets = np.array([each.intercept_[0] for each in machines])
    scaled = estimator[:-1].transform(x)
    # All machines saw the same rows, so `gamma` is one number for all.
    parts = np.split(scaled, range(_ROWS, len(scaled), _ROWS))
    gamma = machines[0]._gamma
    return np.concatenate([rbf_kernel(part, vectors, gamma=gamma) @ weights + offsets for part in parts])


_FILE = "head.skops"
_LOG = logging.getLogger("diptych.heads")


def forest(options: ForestOptions, problem: Problem) -> BaseEstimator:
    """Return a random forest; docs/systems/heads.md#forest."""
    settings = {"n_estimators": options.trees, "max_depth": options.max_depth, "random_state": problem.seed}
    if problem.task == "regression":
        _refuse_class_weight("forest", options.class_weight)
        return RandomForestRegressor(**settings, n_jobs=-1)
    return RandomForestClassifier(**settings, class_weight=options.class_weight, n_jobs=-1)


def svm(options: SvmOptions, problem: Problem) -> BaseEstimator:
    """Return an RBF machine on standardised features, one for each label; docs/systems/heads.md#svm."""
    if problem.task == "regression":
        _refuse_class_weight("svm", options.class_weight)
        return make_pipeline(StandardScaler(), SVR(C=options.c, gamma=options.gamma))
    machine = SVC(C=options.c, gamma=options.gamma, class_weight=options.class_weight)
    rest = OneVsRestClassifier(machine) if problem.task == "multilabel" else machine
    return make_pipeline(StandardScaler(), rest)


def knn(options: KnnOptions, problem: Problem) -> BaseEstimator:
    """Return exact nearest neighbours, for `mean_targets` and `class_shares`; docs/systems/heads.md#knn."""
    kind = KNeighborsRegressor if problem.task == "regression" else KNeighborsClassifier
    return kind(n_neighbors=options.neighbours, algorithm="brute")  # one way of measuring, whatever the width


def linreg(options: LinregOptions, problem: Problem) -> BaseEstimator:  # noqa: ARG001 (nothing to choose)
    """Return ordinary least squares with an intercept; docs/systems/heads.md#linreg."""
    return LinearRegression()


def dummy(options: DummyOptions, problem: Problem) -> BaseEstimator:  # noqa: ARG001 (nothing to choose)
    """Return the constant predictor that every other system must beat; docs/systems/heads.md#dummy."""
    return DummyRegressor() if problem.task == "regression" else DummyClassifier(strategy="prior")


def _refuse_class_weight(head: str, wanted: str | None) -> None:
    if wanted is not None:
        raise InputError(f"head {head}: expected no `class_weight` in a regression; found {wanted!r}; remove the key.")


class ClassicalModel:
    """A scikit-learn estimator as a `Model`.

    Parameters
    ----------
    estimator : BaseEstimator
        Unfitted.
    options : Options
        Only checked here: k may not exceed the train rows.
    problem : Problem
        Classes absent from the train rows keep score 0 (docs/systems/evaluation.md#unseen-classes).
    """

    def __init__(self, estimator: BaseEstimator, options: Options, problem: Problem) -> None:
        self.estimator, self.options, self.problem = estimator, options, problem
        self.history: list[Epoch] = []
        self.learned_: NDArray[np.int64] | None = None
        self.base_: NDArray[np.float32] | None = None

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (no epochs, no dev rows)
        """Fit on `train`.

        Raises
        ------
        InputError
            When more neighbours are asked for than there are train rows.
        """
        if isinstance(self.options, KnnOptions) and self.options.neighbours > len(train):
            raise InputError(
                f"head knn: expected at most {len(train)} neighbours (the train rows); "
                f"found {self.options.neighbours}; lower `neighbours`."
            )
        y = train.y.ravel() if self.problem.task == "regression" else train.y.astype(np.int64)
        if self.problem.task == "multilabel":
            y = self._keep_learnable(y)
        if self.learned_ is None or len(self.learned_):
            # Least squares over correlated columns lose their digits in single precision.
            x = dense(train.x)
            self.estimator.fit(x.astype(np.float64) if isinstance(self.options, LinregOptions) else x, y)
        if isinstance(self.options, ForestOptions):
            # Threads add up the trees' votes in the order in which they end, and sums of floats follow the order.
            self.estimator.set_params(n_jobs=1)
        return self

    def _keep_learnable(self, y: NDArray[np.int64]) -> NDArray[np.int64]:
        """Drop labels that all train rows have, or lack: no estimator can fit them, their score is constant."""
        self.base_ = y.mean(axis=0).astype(np.float32)
        self.learned_ = np.flatnonzero((self.base_ > 0) & (self.base_ < 1))
        if not len(self.learned_):
            _LOG.warning("the train rows bear all the same labels: the head predicts these always, as dummy does")
        kept = y[:, self.learned_]
        return kept.ravel() if kept.shape[1] == 1 else kept

    def scores(self, x: Array) -> Scores:
        """Return probabilities [n, K], for `svm` made of its margins; values [n, 1] for regression."""
        scores: Scores = np.zeros((len(x), self.problem.outputs), dtype=np.float32)
        if not len(x):  # scikit-learn refuses empty inputs
            return scores
        if self.problem.task == "regression":
            values = mean_targets(self.estimator, x) if self._votes else self.estimator.predict(x)
            return np.asarray(values, dtype=np.float32).reshape(-1, 1)
        if self.learned_ is None:
            scores[:, self.estimator.classes_] = self._raw(x)
            return scores
        scores[:] = self.base_
        if len(self.learned_):
            scores[:, self.learned_] = self._raw(x)
        return scores

    @property
    def _votes(self) -> bool:
        return isinstance(self.options, KnnOptions)

    def _raw(self, x: Array) -> NDArray[Any]:
        """Return [n, labels learned], whatever form the estimator gives it in."""
        labels = self.learned_ is not None
        if self._votes:
            return mean_targets(self.estimator, x) if labels else class_shares(self.estimator, x)
        if hasattr(self.estimator, "decision_function"):
            shared = is_shared(self.estimator)
            margins = shared_margins(self.estimator, x) if shared else np.asarray(self.estimator.decision_function(x))
            if margins.ndim == 1:  # a single label, or two classes
                margins = margins[:, None] if labels else np.stack([-margins, margins], axis=1)
            # 0.5 at the machine's own threshold; over many classes only softmax keeps the first ones apart in float32.
            squashed: NDArray[Any] = expit(margins) if labels else softmax(margins, axis=1)
            return squashed
        given = self.estimator.predict_proba(x)
        if isinstance(given, list):  # one [n, 2] array per label
            return np.stack([each[:, 1] for each in given], axis=1)
        return np.asarray(given[:, 1:] if labels else given)

    def save(self, folder: Path) -> None:
        """Write `head.skops`: the estimator without pickle."""
        saved = {"estimator": self.estimator, "learned": self.learned_, "base": self.base_}
        save_estimator(folder / _FILE, saved)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_estimator(folder / _FILE)
        self.estimator, self.learned_, self.base_ = saved["estimator"], saved["learned"], saved["base"]
        return self
