"""What all fusions that give vectors share: their inputs, scikit-learn's checks of arrays, and its tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from stages.models.features.layout import Layout, as_layout, layout_columns
from stages.models.features.table import FeatureTable, MappedTable
from stages.models.heads.model import Array, Features


class FusionTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of transformers of joined features [n, columns]; see `layout` for how inputs are joined.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; see `as_layout`. None takes all columns for the vector of one input that every row has.
    """

    def __init__(self, layout: Sequence[Any] | None = None) -> None:
        self.layout = layout

    @property
    def inputs(self) -> Layout | None:
        """The layout as blocks."""
        return None if self.layout is None else as_layout(self.layout)

    def _learnable(self, x: Any) -> Features:
        """Return what `fit` was given, checked, and remember its number of columns as `n_features_in_`.

        Arrays are held against scikit-learn's rules: two dimensions, finite, at least one row. Tables come from
        matrices, which were checked when they were written.
        """
        if not isinstance(x, FeatureTable | MappedTable):
            found: Array = validate_data(self, x, reset=True, dtype=np.float32)
            return found
        self.n_features_in_ = x.shape[1]
        return x

    def _transformable(self, x: Any) -> Array:
        """Return an array that can be transformed: float32 [n, n_features_in_], n may be 0."""
        check_is_fitted(self, "n_features_in_")
        found: Array = validate_data(self, x, reset=False, dtype=np.float32, ensure_min_samples=0)
        return found

    def _restored(self) -> Self:
        """Take up the number of columns after `restore`, which needs a layout."""
        self.n_features_in_ = layout_columns(as_layout(self.layout or ()))
        return self

    def __sklearn_tags__(self) -> Tags:
        """Say that float32 is given back whatever came in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
