"""Scaling, fusion and head as scikit-learn estimators: `FusedModel` for who works in Python, not in params.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from stages.contract import Scale
from stages.models.catalog import did_you_mean
from stages.models.features.layout import Layout, as_layout, layout_columns
from stages.models.fusions.catalog import FUSIONS, NATIVE, ModelSpec, count_mistakes, option_keys
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import Array, LabelledRows, Problem, Scores
from store.errors import InputError
from store.items.records import Task

_FILE = "estimator.json"
Given = tuple[Any, Any]


class _FusionEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the classifier and the regressor share: their arguments, their inputs, and how they are kept."""

    def __init__(  # noqa: PLR0913, PLR0917 (scikit-learn's `clone` wants every argument by name, and none packed)
        self,
        fusion: str = "concat",
        head: str = "mlp",
        layout: Sequence[Any] | None = None,
        scale: Scale = "none",
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.fusion, self.head, self.layout, self.scale = fusion, head, layout, scale
        self.options, self.seed, self.device = options, seed, device

    def _fit(self, x: Array, y: NDArray[Any], dev: LabelledRows, about: tuple[Task, int]) -> Self:
        """Fit on checked arrays; `about` is the task and the number of outputs."""
        model = self._build(about)  # refuses what does not go together, before anything is joined
        self.model_ = model.fit(LabelledRows(self._joined(x), y), LabelledRows(self._joined(np.asarray(dev.x)), dev.y))
        self.history_ = self.model_.history
        return self

    def _build(self, about: tuple[Task, int]) -> FusedModel:
        self._about = about
        recipe = self._recipe(about[0])
        return FusedModel(self._inputs(), recipe, Problem(*about, self.seed, self.device))

    def _inputs(self) -> Layout:
        """Return the inputs; where no layout was given, as few as the fusion takes, each of which is all columns."""
        layout = as_layout([self.n_features_in_] * self._copies if self.layout is None else self.layout)
        expected = layout_columns(layout)
        if self.layout is not None and self.n_features_in_ != expected:
            raise InputError(
                f"X: expected {expected} features for the inputs {[block.as_json() for block in layout]} and one "
                f"presence column each; found {self.n_features_in_}; join the inputs in that order."
            )
        return layout

    def _joined(self, x: Array) -> Array:
        """Return joined features; where no layout was given, X stands for each input and every row has them all."""
        if self.layout is not None:
            return x
        return np.concatenate([x] * self._copies + [np.ones((len(x), self._copies), dtype=np.float32)], axis=1)

    @property
    def _copies(self) -> int:
        return FUSIONS[self.fusion].inputs[0]

    def _recipe(self, task: Task) -> ModelSpec:
        """Return fusion and head with their options.

        Raises
        ------
        InputError
            When a name is unknown, the two do not go together or not with the task, or an option is nobody's.
        """
        _refuse_unknown("fusion", self.fusion, FUSIONS)
        row, native = FUSIONS[self.fusion], FUSIONS[self.fusion].native
        _refuse_unknown("head", self.head, [NATIVE] if native else HEADS)
        if not native and task not in HEADS[self.head].tasks:
            raise InputError(
                f"head {self.head!r}: expected a task among {list(HEADS[self.head].tasks)}; found {task!r}."
            )
        if self.layout is not None and (problems := count_mistakes(row, len(self.layout))):
            raise InputError(f"{problems[0]}.")
        given = dict(self.options or {})
        keys = option_keys(self.fusion, NATIVE if native else self.head)
        for name in given:
            _refuse_unknown("option", name, [key for each in keys for key in each.names])
        chosen = [each.options(**each.chosen(given)) for each in keys]
        return ModelSpec(self.fusion, self.head, self.scale, chosen[0], None if native else chosen[1])

    def _scores(self, x: Any) -> Scores:
        check_is_fitted(self, "model_")
        return self.model_.scores(self._joined(self._checked(x)))

    def _checked(self, x: Any) -> Array:
        found: Array = validate_data(self, x, reset=False, dtype=np.float32)
        return found

    def save(self, folder: Path) -> None:
        """Write the fitted model into an existing folder, without pickle."""
        check_is_fitted(self, "model_")
        self.model_.save(folder)
        about = {"task": self._about[0], "outputs": self._about[1], "features": self.n_features_in_, **self._facts()}
        (folder / _FILE).write_text(json.dumps(about, sort_keys=True) + "\n", "utf-8")

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into an estimator with the same arguments."""
        about = json.loads((folder / _FILE).read_text("utf-8"))
        self.n_features_in_ = about["features"]
        self._take(about)
        self.model_ = self._build((about["task"], about["outputs"])).restore(folder)
        return self

    def _facts(self) -> dict[str, Any]:
        """Return what else must be kept, as plain JSON."""
        return {}

    def _take(self, about: Mapping[str, Any]) -> None:
        """Take up what `_facts` gave."""


class FusionClassifier(ClassifierMixin, _FusionEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fusion and a head as a classifier of one class per row, or of any number of labels.

    Parameters
    ----------
    fusion, head : str
        Names of the catalogues; a fusion with its own classifier takes `head="native"`.
    layout : sequence of int or Block, optional
        The inputs that stand side by side in X, each with its vector and what is beside it, and after all of them one
        presence column each (1.0 where the row has the input). None: X is a plain array that stands for every input of
        which the fusion takes at least so many, such as for the text and the picture alike.
    scale : {"none", "standard", "l2"}
        Scaling of each input before the fusion.
    options : mapping, optional
        Options of the fusion and the head by name, as in an experiment of params.yaml.
    seed : int
    device : str
        Where networks are trained: cpu, cuda or cuda:<n>.

    Attributes
    ----------
    classes_ : ndarray, [K]
        The classes in the order of the columns of `predict_proba`; 0 ... K - 1 for several labels.
    n_features_in_ : int
    history_ : list of Epoch
        The learning curve; empty without epochs.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    >>> FusionClassifier(head="knn").fit(x, np.repeat(["cat", "dog"], 20)).predict(x[[0, -1]]).tolist()
    ['cat', 'dog']
    """

    def fit(self, X: Any, y: Any, dev: Given | None = None) -> Self:  # noqa: N803 (scikit-learn's signature)
        """Fit on X [n, columns] and y: classes [n], or a label indicator [n, K].

        Parameters
        ----------
        dev : (X, y), optional
            Rows for early stopping, which nothing is learned from.

        Raises
        ------
        InputError
            When the arguments do not go together; it is a ValueError.
        """
        x, y = validate_data(self, X, y, dtype=np.float32, multi_output=True)
        check_classification_targets(y)
        labels = type_of_target(y) == "multilabel-indicator"
        if not labels:
            y = column_or_1d(y, warn=True)
        self._labels = labels
        self.classes_ = np.arange(y.shape[1]) if labels else np.unique(y)
        about: tuple[Task, int] = ("multilabel" if labels else "multiclass", len(self.classes_))
        return self._fit(x, self._targets(y), self._dev(dev, x), about)

    def _targets(self, y: Any) -> NDArray[Any]:
        """Return what heads learn: 0 and 1 [n, K], or the place of each class [n]."""
        if self._labels:
            return np.asarray(y, dtype=np.float32)
        places = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        if (strange := self.classes_[places] != y).any():
            raise InputError(
                f"dev: expected classes that y has; found {np.asarray(y)[strange].tolist()[0]!r}; leave it out."
            )
        return np.asarray(places, dtype=np.int64)

    def _dev(self, dev: Given | None, x: Array) -> LabelledRows:
        if dev is None:
            empty = np.zeros(0, dtype=np.int64)
            return LabelledRows(x[:0], np.zeros((0, len(self.classes_)), np.float32) if self._labels else empty)
        return LabelledRows(self._checked(dev[0]), self._targets(np.asarray(dev[1])))

    def predict_proba(self, X: Any) -> Scores:  # noqa: N803
        """Return scores float32 [n, K]: of classes they sum to 1 in each row, labels are scored by themselves."""
        return self._scores(X)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the class with the highest score [n], or every label that scores 0.5 or more [n, K]."""
        scores = self._scores(X)
        if self._labels:
            return np.asarray(scores >= 0.5, dtype=np.int64)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    def _facts(self) -> dict[str, Any]:
        kind = "str" if self.classes_.dtype.kind in "OU" else self.classes_.dtype.str
        return {"classes": self.classes_.tolist(), "dtype": kind}

    def _take(self, about: Mapping[str, Any]) -> None:
        self._labels = about["task"] == "multilabel"
        self.classes_ = np.array(about["classes"], dtype=about["dtype"])

    def __sklearn_tags__(self) -> Tags:
        """Say whether several labels are fine."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.head not in HEADS or "multilabel" in HEADS[self.head].tasks
        return tags


class FusionRegressor(RegressorMixin, _FusionEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fusion and a head as a regressor of one number per row; its arguments are those of `FusionClassifier`."""

    def fit(self, X: Any, y: Any, dev: Given | None = None) -> Self:  # noqa: N803 (scikit-learn's signature)
        """Fit on X [n, columns] and y [n]; `dev` (X, y) serves early stopping and is not learned from.

        Raises
        ------
        InputError
            When the arguments do not go together; it is a ValueError.
        """
        x, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        rows = LabelledRows(x[:0], np.zeros((0, 1), np.float32))
        if dev is not None:
            rows = LabelledRows(self._checked(dev[0]), _column(dev[1]))
        return self._fit(x, _column(y), rows, ("regression", 1))

    def predict(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return values float32 [n]."""
        return self._scores(X)[:, 0]


def _column(y: Any) -> NDArray[np.float32]:
    return np.asarray(y, dtype=np.float32).reshape(-1, 1)


def _refuse_unknown(what: str, name: str, known: Any) -> None:
    if name not in known:
        near = did_you_mean(str(name), list(known))
        raise InputError(f"{what}: expected one of {sorted(known)}; found {name!r}{near}.")
