"""Vectors side by side: as they are, as pixels and words, as components; docs/systems/fusions.md#side-by-side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from stages.models.features.layout import Layout, split_inputs
from stages.models.features.transformer import FusionTransformer
from stages.models.fusions.pca import PcaProjection
from stages.models.heads.model import Array, Features, blocks_of
from stages.models.training.epochs import UNWATCHED, Watch
from store.errors import InputError


class ConcatFusion(FusionTransformer):
    """`none` and `concat`: the vectors side by side, [n, sum of widths]; docs/systems/fusions.md#concat.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; a single one makes it the identity. None takes all columns for one input that every row has.
    """

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (nothing to learn)
        """Learn nothing but the number of columns."""
        self._learnable(x)
        return self

    def transform(self, x: Array) -> Array:
        """Return the vectors of `x` [n, columns] without the presence columns."""
        return self.joined(self._transformable(x))

    def joined(self, x: Array) -> Array:
        """Do as `transform` with rows of a table, which need no checks; a view where the vectors stand side by side."""
        layout = self.inputs
        if layout is None:
            return x
        parts = split_inputs(x, layout)
        if not any(block.arrays for block in layout):
            return x[:, : -len(parts)]
        return np.concatenate([part.vector for part in parts], axis=1)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002 (nothing was saved)
        """Take up the number of columns from the layout."""
        return self._restored()


_BRIGHTEST = np.float32(255)


class EarlyFusion(FusionTransformer):
    """x = [pixels / 255; bag of words], [n, 3 S S + D]: the picture first, though it is the last of the inputs.

    The published sizes are pictures of 32 x 32 (encoder `pixels`, 3072 bytes) and a caption hashed into 1024 bins
    (encoder `hash`): 4096 columns together.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The bag, then the pixels. None takes all columns for pixels that every row has.

    Source: paper 0 (ablation), docs/systems/fusions.md#early.
    """

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (nothing to learn)
        """Learn nothing but the number of columns.

        Raises
        ------
        InputError
            When the last input cannot be the pixels of square pictures.
        """
        self._learnable(x)
        if self.inputs is not None:
            _refuse_other_pictures(self.inputs)
        return self

    def transform(self, x: Array) -> Array:
        """Return the pixels in [0, 1], then the bag."""
        *texts, image = split_inputs(self._transformable(x), self.inputs)
        return np.concatenate([image.vector / _BRIGHTEST, *(each.vector for each in texts)], axis=1)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002 (nothing was saved)
        """Take up the number of columns from the layout."""
        return self._restored()


def _refuse_other_pictures(layout: Layout) -> None:
    width = layout[-1].width
    size = math.isqrt(width // 3)
    if 3 * size * size != width:
        raise InputError(
            f"fusion early: expected pixels as the last input, 3 x S x S columns; found {width}; give it an entry of "
            "`embed` with `encoder: pixels` and `size: 32`."
        )


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
        parts = split_inputs(x, self.inputs)
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
