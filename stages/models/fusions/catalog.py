"""The catalogue of fusions, and the options of those in this folder; light enough to be read with params.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from stages.contract import Scale
from stages.models.catalog import Mistake, Options, Width, mistake, option_mistakes
from stages.models.features.layout import Layout
from stages.models.fusions.factors.rows import FACTOR_ROWS
from stages.models.fusions.gated.rows import GATED_ROWS
from stages.models.fusions.row import FusionRow, network, transformer
from stages.models.fusions.semantic.rows import SEMANTIC_ROWS
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import Problem
from stages.models.heads.options import MlpOptions, NetworkOptions


class AttentionOptions(MlpOptions):
    """Sizes of docs/systems/fusions.md#attention: d = 256, then three hidden layers.

    Attributes
    ----------
    width : int
        d, to which each input is projected.
    qk : bool
        Whether queries and keys are projections of their own.
    """

    hidden: tuple[Width, ...] = (512, 256, 128)
    width: int = Field(default=256, ge=1)
    qk: bool = False


class LateOptions(Options):
    """How the modalities' scores are weighted.

    Attributes
    ----------
    weights : {"dev", "uniform"}
        Tuned on dev rows, or equal.
    """

    weights: Literal["dev", "uniform"] = "dev"


class NoOptions(Options):
    """Nothing to choose."""


class TowersOptions(NetworkOptions):
    """As published; `after` takes the variants for small data, [2048] and [256, 64]; docs/systems/fusions.md#towers.

    Early stopping looks at the dev rows' top 5, by which the paper chose its text encoder; in a task without a single
    right class at their loss. `dropout` acts on the texts and on the concatenation, `after_dropout` behind each layer
    of `after`; `image_dnn` is the width of a layer on the picture, 0 for none.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)
    batch: int = Field(default=64, ge=1)
    epochs: int = Field(default=20, ge=1)
    monitor: Literal["loss", "top_5"] = "top_5"
    width: int = Field(default=1024, ge=1)
    image_dnn: int = Field(default=0, ge=0)
    after: tuple[Width, ...] = ()
    dropout: float = Field(default=0.2, ge=0, lt=1)
    after_dropout: float = Field(default=0.4, ge=0, lt=1)


class PcaOptions(Options):
    """How many coordinates, and of what.

    Attributes
    ----------
    components : int
        How many are kept.
    where : {"per_modality", "fused"}
        Of each input by itself, or of all side by side.
    whiten : bool
        Whether each is scaled to variance 1.
    """

    components: int = Field(default=3, ge=1)
    where: Literal["per_modality", "fused"] = "per_modality"
    whiten: bool = False


def _concat() -> Any:
    from stages.models.fusions.side_by_side import ConcatFusion

    return ConcatFusion


def _attention() -> Any:
    from stages.models.fusions.attention import AttentionFusion  # torch

    return AttentionFusion


def _towers() -> Any:
    from stages.models.fusions.towers import TowersFusion  # torch

    return TowersFusion


def _early() -> Any:
    from stages.models.fusions.side_by_side import EarlyFusion

    return EarlyFusion


def _pca() -> Any:
    from stages.models.fusions.side_by_side import PcaFusion  # scikit-learn

    return PcaFusion


def _late(layout: Layout, options: Any, problem: Problem) -> Any:  # noqa: ARG001 (`model` gives it its heads)
    from stages.models.fusions.late import LateModel

    return LateModel


FUSIONS: dict[str, FusionRow] = {
    row.name: row
    for row in (
        FusionRow("none", "vectors", (1, 1), NoOptions, "ours", transformer(_concat)),
        FusionRow("concat", "vectors", (1, None), NoOptions, "papers 0, 1 and 3", transformer(_concat)),
        FusionRow("attention", "native", (2, None), AttentionOptions, "paper 0", network(_attention), weighs=True),
        *FACTOR_ROWS,
        FusionRow("late", "scores", (2, None), LateOptions, "paper 0", _late, weighs=True),
        *SEMANTIC_ROWS,
        FusionRow("towers", "native", (2, None), TowersOptions, "paper 1", network(_towers)),
        FusionRow("early", "vectors", (2, 2), NoOptions, "paper 0", transformer(_early)),
        FusionRow("pca", "vectors", (1, None), PcaOptions, "paper 0", transformer(_pca), learns=True),
        *GATED_ROWS,
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
class ModelSpec:
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


NATIVE = "native"
PREFIX = "fusion_"


@dataclass(frozen=True)
class OptionKeys:
    """The options of one fusion or head, and the keys by which an experiment gives them."""

    options: type[Options]
    names: dict[str, str]

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the values give, by the options' own names."""
        return {name: values[key] for key, name in self.names.items() if key in values}

    def written(self, options: Options) -> Iterator[tuple[str, Any]]:
        """Yield every option with the key that gives it, as JSON."""
        keys = {name: key for key, name in reversed(self.names.items())}  # the plain key, where there is one
        yield from ((keys[name], value) for name, value in options.model_dump(mode="json").items())

    def mistakes(self, values: Mapping[str, Any]) -> Iterator[Mistake]:
        """Yield the mistakes in them, each at the key that was written."""
        written: dict[str, str] = {}
        for key, name in self.names.items():
            if key in values and name in written:
                yield mistake(key, values[key], f"{key}: the same as {written[name]!r}, which is given too; keep one")
            elif key in values:
                written[name] = key
        for each in option_mistakes(self.chosen(values), self.options):
            first, *rest = each["loc"] or ("",)
            yield {**each, "loc": (written.get(first, first), *rest)}


def option_keys(fusion: str, head: str) -> list[OptionKeys]:
    """Return the options of a fusion and, unless it is the fusion's own, of a head.

    Both may have one of the same name, such as `lr`: the plain key is then the head's, and `fusion_lr` the fusion's.
    """
    own = FUSIONS[fusion].options
    if head == NATIVE:
        return [OptionKeys(own, {name: name for name in own.model_fields})]
    options = HEADS[head].options
    plain = {name: name for name in own.model_fields if name not in options.model_fields}
    prefixed = {f"{PREFIX}{name}": name for name in own.model_fields}
    return [OptionKeys(own, {**plain, **prefixed}), OptionKeys(options, {name: name for name in options.model_fields})]
