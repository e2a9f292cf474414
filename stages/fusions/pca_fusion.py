"""The `pca` fusion: few principal coordinates of each input, or of all together; docs/systems/fusions.md#pca."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from stages.epochs import UNWATCHED, Watch
from stages.errors import InputError
from stages.fusions.base import FusionTransformer
from stages.fusions.layout import split_parts
from stages.fusions.pca import PcaProjection
from stages.heads.model import Array, Features, blocks_of


class PcaFusion(FusionTransformer):
    """z = [(t - mean_t) P_t^T ; (v - mean_v) P_v^T], [n, M components], or the same of [t; v], [n, components].

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The M inputs. None takes all columns for one input that every row has.
    components : int
        Of each projection.
    where : {"per_modality", "fused"}
        Project each input by itself, or their concatenation.
    whiten : bool
        Divide each coordinate by its deviation on train.

    Attributes
    ----------
    projections_ : list of PcaProjection
        One for each input, or one. Each is fitted on the rows that have its input, or all of them.

    Source: paper 0, which says the one in its section 3.2 and the other in its results; docs/systems/fusions.md#pca.
    """

    def __init__(
        self,
        layout: Sequence[Any] | None = None,
        *,
        components: int = 3,
        where: Literal["per_modality", "fused"] = "per_modality",
        whiten: bool = False,
    ) -> None:
        super().__init__(layout)
        self.components, self.where, self.whiten = components, where, whiten

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (no epochs to watch)
        """Learn the axes from the rows of `x` [n, columns], which come in blocks: train rows only.

        Raises
        ------
        InputError
            When too few rows have the inputs, or their vectors too few dimensions, for so many components.
        """
        x = self._learnable(x)
        self.projections_ = [self._fitted(x, number) for number in range(self._count)]
        return self

    @property
    def _count(self) -> int:
        return 1 if self.inputs is None or self.where == "fused" else len(self.inputs)

    def _fitted(self, x: Features, number: int) -> PcaProjection:
        read = (self._read(block)[number] for block in blocks_of(x))
        try:
            return PcaProjection(self.components, self.whiten).fit_blocks(rows[there] for rows, there in read)
        except InputError as error:
            raise InputError(f"projection {number + 1} of {self._count}: {error}") from error

    def _read(self, x: Array) -> list[tuple[Array, Any]]:
        """Return for each projection its rows [n, D], and which of them are whole [n]."""
        parts = split_parts(x, self.inputs)
        if self.where == "per_modality":
            return [(part.vector, part.present > 0) for part in parts]
        whole = np.all([part.present > 0 for part in parts], axis=0)
        return [(np.concatenate([part.vector for part in parts], axis=1), whole)]

    def transform(self, x: Array) -> Array:
        """Return the coordinates of each projection in order."""
        read = self._read(self._transformable(x))
        return np.concatenate(
            [each.transform(rows) for each, (rows, _) in zip(self.projections_, read, strict=True)], axis=1
        )

    def save(self, folder: Path) -> None:
        """Write a folder for each projection."""
        for number, each in enumerate(self.projections_):
            inner = folder / f"projection-{number}"
            inner.mkdir()
            each.save(inner)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self.projections_ = [
            PcaProjection(self.components, self.whiten).restore(folder / f"projection-{number}")
            for number in range(self._count)
        ]
        return self._restored()
