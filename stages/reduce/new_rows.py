"""Rows of items that the matrix of `reduce` does not hold, projected as it projected those that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from stages.models.features.agreement import refuse_no_model, refuse_other_model, refuse_stale
from stages.models.features.layout import Input
from stages.models.fusions.pca import PcaProjection
from stages.reduce.params import ReduceParams
from store import Matrix


@dataclass(frozen=True)
class ReduceNewRows:
    """Projects new rows.

    Parameters
    ----------
    params : ReduceParams
    source, matrix : Matrix
        What `reduce` read, and what it made of that.
    folder : Path
        Of the fitted projection.

    Raises
    ------
    InputError
        When the matrix was made from another source.
    """

    params: ReduceParams
    source: Matrix
    matrix: Matrix
    folder: Path

    def __post_init__(self) -> None:
        refuse_stale(self.matrix, {"source_digest": self.source.digest})

    def restore(self) -> Self:
        """Read the projection, which `of` does otherwise.

        Raises
        ------
        InputError
            When it is not there, or did not make the matrix.
        """
        _ = self._projection
        return self

    @cached_property
    def _projection(self) -> PcaProjection:
        refuse_no_model("reduce", self.folder)
        projection = PcaProjection(self.params.components, self.params.whiten).restore(self.folder)
        missing = projection.transform(self.source.missing_vector[None, :])[0]
        refuse_other_model(self.folder, missing, self.matrix)
        return projection

    def of(self, inputs: Sequence[Input]) -> Input:
        """Project rows of the source: one input of n rows, its vector [n, D] becomes float32 [n, components].

        The errors are those of `restore`.
        """
        (given,) = inputs
        return Input(self._projection.transform(given.vector), {}, given.present)
