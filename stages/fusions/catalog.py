"""The catalogue of fusions as data rows, light enough to be read with params.yaml; `model` fits what they build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.contract import Scale
from stages.flat_params import Options
from stages.fusions.layout import Layout
from stages.fusions.options import AttentionOptions, LateOptions, NoOptions
from stages.fusions.options_towers import PcaOptions, TowersOptions
from stages.fusions.row import FusionRow, network, transformer
from stages.fusions.rows_factors import FACTOR_ROWS
from stages.fusions.rows_gates import GATES_ROWS
from stages.fusions.rows_vse import VSE_ROWS
from stages.heads.model import Problem
from stages.heads.options import NetworkOptions


def _concat() -> Any:
    from stages.fusions.blocks import ConcatFusion

    return ConcatFusion


def _attention() -> Any:
    from stages.fusions.attention import AttentionFusion  # torch

    return AttentionFusion


def _towers() -> Any:
    from stages.fusions.towers import TowersFusion  # torch

    return TowersFusion


def _early() -> Any:
    from stages.fusions.early import EarlyFusion

    return EarlyFusion


def _pca() -> Any:
    from stages.fusions.pca_fusion import PcaFusion  # scikit-learn

    return PcaFusion


def _late(layout: Layout, options: Any, problem: Problem) -> Any:  # noqa: ARG001 (`model` gives it its heads)
    from stages.fusions.late import LateModel

    return LateModel


FUSIONS: dict[str, FusionRow] = {
    row.name: row
    for row in (
        FusionRow("none", "vectors", (1, 1), NoOptions, "ours", transformer(_concat)),
        FusionRow("concat", "vectors", (1, None), NoOptions, "papers 0, 1 and 3", transformer(_concat)),
        FusionRow("attention", "native", (2, None), AttentionOptions, "paper 0", network(_attention), weighs=True),
        *FACTOR_ROWS,
        FusionRow("late", "scores", (2, None), LateOptions, "paper 0", _late, weighs=True),
        *VSE_ROWS,
        FusionRow("towers", "native", (2, None), TowersOptions, "paper 1", network(_towers)),
        FusionRow("early", "vectors", (2, 2), NoOptions, "paper 0", transformer(_early)),
        FusionRow("pca", "vectors", (1, None), PcaOptions, "paper 0", transformer(_pca), learns=True),
        *GATES_ROWS,
    )
}


def count_mistakes(row: FusionRow, features: int) -> list[str]:
    """Say what is wrong with giving this many feature inputs to a fusion; nothing when they fit."""
    fewest, most = row.inputs
    if row.name == "none" and features != 1:
        return [f"fusion 'none' takes exactly one of `features`; found {features}; use concat"]
    if features < fewest:
        return [f"fusion {row.name!r} joins at least {fewest} features; found {features}"]
    if most is not None and features > most:
        return [f"fusion {row.name!r} joins at most {most} features; found {features}"]
    return []


def dropout_mistakes(row: FusionRow, features: int, share: float) -> list[str]:
    """Say why `modality_dropout` cannot act before a fusion of this many inputs; nothing when it can."""
    if not share:
        return []
    if row.kind == "scores":
        return [
            f"modality_dropout: fusion {row.name!r} fits each head on one input alone, of which none can be dropped; "
            "leave the key out"
        ]
    if features < 2:
        return [f"modality_dropout: of {features} input none can be dropped, a row keeps one; leave the key out"]
    return []


@dataclass(frozen=True)
class Recipe:
    """What one experiment is made of, without data: names, options, scaling."""

    fusion: str
    head: str
    scale: Scale
    fusion_options: Options
    head_options: Options | None

    @property
    def training(self) -> NetworkOptions | None:
        """How the network of the head, or of the fusion with a classifier, is trained; None without one."""
        options = self.head_options or self.fusion_options
        return options if isinstance(options, NetworkOptions) else None

    @property
    def modality_dropout(self) -> float:
        """The share of inputs taken away in training."""
        return self.training.modality_dropout if self.training else 0.0
