"""Rows of items that the matrix of `fuse` does not hold, scaled and fused as it did with those that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from stages.fuse.params import FuseParams
from stages.models.encoders.running.engines import resolve_device
from stages.models.features.agreement import refuse_no_model, refuse_other_model, refuse_stale
from stages.models.features.layout import Input, Layout, join_inputs
from stages.models.features.scaling import BlockScaler
from stages.models.features.table import layout_of, missing_row
from stages.models.fusions.model import VectorFusion
from stages.models.heads.model import Array, Problem
from store import Matrix


@dataclass(frozen=True)
class FuseNewRows:
    """Fuses new rows.

    Parameters
    ----------
    params : FuseParams
    sources : sequence of Matrix
        What `fuse` read, in the order of `params.features`.
    matrix : Matrix
        What it made of that.
    folder : Path
        Of the fitted scaling and fusion.
    device : str
        The machine's, as in `TrainingSettings`; for a fusion that learns.

    Raises
    ------
    InputError
        When the matrix was made from other sources, or by another fusion.
    """

    params: FuseParams
    sources: Sequence[Matrix]
    matrix: Matrix
    folder: Path
    device: str

    def __post_init__(self) -> None:
        sources = [each.digest for each in self.sources]
        refuse_stale(self.matrix, {"fusion": self.params.fusion, "sources": sources})

    def restore(self) -> Self:
        """Read the scaling and the fusion, which `of` does otherwise.

        Raises
        ------
        InputError
            When they are not there, or did not make the matrix.
        """
        _ = self._steps
        return self

    @cached_property
    def _layout(self) -> Layout:
        return layout_of(self.sources, self.params.row.needs, self.params.fusion)

    @cached_property
    def _steps(self) -> tuple[BlockScaler, VectorFusion]:
        refuse_no_model("fuse", self.folder)
        params, layout = self.params, self._layout
        device = resolve_device(self.device) if params.row.learns else "cpu"
        built: VectorFusion = params.row.build(layout, params.options, Problem("multilabel", 1, params.seed, device))
        steps = BlockScaler(layout, params.scale).restore(self.folder), built.restore(self.folder)
        missing = _fused(steps, missing_row(self.sources, layout)[None, :])[0]
        refuse_other_model(self.folder, missing, self.matrix)
        return steps

    def of(self, inputs: Sequence[Input]) -> Input:
        """Fuse n rows; present is one that has any of its inputs.

        Parameters
        ----------
        inputs : sequence of Input
            Of n rows each, in the order of the sources. A row without an input carries what `absent_input` gives.

        Returns
        -------
        Input
            Vectors [n, D'] as the matrix holds them. The errors are those of `restore`.
        """
        present = np.any([each.present for each in inputs], axis=0)
        joined = join_inputs(inputs, self._layout, len(present))
        return Input(_fused(self._steps, joined), {}, present)


def _fused(steps: tuple[BlockScaler, VectorFusion], joined: Array) -> Array:
    scaler, fusion = steps
    return fusion.transform(scaler.transform(joined))
