"""The visual-semantic fusions as rows of the catalogue; docs/systems/fusions.md#visual-semantic-embeddings."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from pydantic import Field, model_validator

from stages.models.catalog import Width
from stages.models.features.layout import Layout
from stages.models.fusions.row import IMAGE, TEXT, FusionRow, network, network_of_task
from stages.models.fusions.semantic.base import VseOptions, build_vse
from stages.models.heads.model import Model, Problem
from stages.models.heads.options import NetworkOptions

Chosen = TypeVar("Chosen")


def _shared(options: Chosen, width: int, heads: int) -> Chosen:
    if width % heads:
        raise ValueError(f"expected `width` to be a multiple of `heads`; found {width} and {heads}")
    return options


class CimOptions(VseOptions):
    """As `vse`, with `heads` of an attention over regions and words; docs/systems/fusions.md#cim."""

    heads: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        return _shared(self, self.width, self.heads)


class CootOptions(CimOptions):
    """As `cim`, repeated; sizes of docs/systems/fusions.md#coot.

    Attributes
    ----------
    iterations : int
        P; without any it is `vse`.
    score_width : int
        d_a, in which iterations are compared.
    """

    iterations: int = Field(default=3, ge=0)
    score_width: Width = 128


class PooledOptions(NetworkOptions):
    """Of `sapool` and `dense`: `width` d of picture and pooled words, `hidden` layers behind both."""

    width: Width = 512
    hidden: tuple[Width, ...] = (512,)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class SapoolOptions(PooledOptions):
    """A cross-attention; `feed_forward` is a multiple of `width`, 0 leaves it out; docs/systems/fusions.md#sapool."""

    heads: int = Field(default=8, ge=1)
    feed_forward: int = Field(default=4, ge=0)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        return _shared(self, self.width, self.heads)


class DenseOptions(PooledOptions):
    """Sizes of docs/systems/fusions.md#dense; `words_width` is the hidden layer of the projection of each word."""

    words_width: Width = 512


class DpmOptions(NetworkOptions):
    """First the `vse_` options train a `vse`, then `hidden` layers learn with it; docs/systems/fusions.md#dpm.

    `lr` is that of the new layers; those of the `vse` learn at a tenth of it.
    """

    hidden: tuple[Width, ...] = (512,)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    vse_lr: float = Field(default=0.01, gt=0)
    vse_epochs: int = Field(default=30, ge=1)
    vse_batch: int = Field(default=64, ge=1)
    vse_width: Width = 512
    vse_words_width: Width = 512
    vse_joint_width: Width = 512
    vse_hidden: tuple[Width, ...] = (256,)

    @property
    def vse(self) -> VseOptions:
        """The options of the first training: its own, those that both trainings share, and the losses of 4.8."""
        own = {name.removeprefix("vse_"): value for name, value in self if name.startswith("vse_")}
        shared = {name: getattr(self, name) for name in ("weight_decay", "patience", "monitor")}
        return VseOptions(**shared, **own)


def _cim() -> Any:
    from stages.models.fusions.semantic.cim import CimFusion  # torch

    return CimFusion


def _coot() -> Any:
    from stages.models.fusions.semantic.coot import CootFusion  # torch

    return CootFusion


def _sapool() -> Any:
    from stages.models.fusions.semantic.pooled import SapoolFusion  # torch

    return SapoolFusion


def _dense() -> Any:
    from stages.models.fusions.semantic.pooled import DenseFusion  # torch

    return DenseFusion


def _dpm(layout: Layout, options: Any, problem: Problem) -> Model:
    from stages.models.fusions.semantic.dpm import DpmModel  # torch

    return DpmModel(layout, options, problem)


_WORDS = {TEXT: ("tokens",)}
_WORDS_AND_REGIONS = {**_WORDS, IMAGE: ("map", "regions")}

SEMANTIC_ROWS: tuple[FusionRow, ...] = (
    FusionRow("vse", "native", (2, 2), VseOptions, "paper 2", build_vse, needs=_WORDS),
    FusionRow("cim", "native", (2, 2), CimOptions, "paper 2", network_of_task(_cim), needs=_WORDS_AND_REGIONS),
    FusionRow("coot", "native", (2, 2), CootOptions, "paper 2", network_of_task(_coot), needs=_WORDS_AND_REGIONS),
    FusionRow("sapool", "native", (2, 2), SapoolOptions, "paper 2", network(_sapool), needs=_WORDS),
    FusionRow("dpm", "native", (3, 3), DpmOptions, "paper 2", _dpm, needs=_WORDS),
    FusionRow("dense", "native", (2, 2), DenseOptions, "paper 2", network(_dense), needs=_WORDS),
)
