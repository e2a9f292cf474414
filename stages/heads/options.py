"""The options of every head, with the defaults of systems.md 4 and 5; `train` fills them from its flat params."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """Base of all option rows: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkOptions(Options):
    """How a network is trained: early stopping on the dev loss, gradients clipped to a norm; `momentum` is for sgd."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: int = Field(default=128, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=5, ge=1)
    clip: float = Field(default=1.0, gt=0)


class LinearOptions(NetworkOptions):
    """One linear layer; `dropout` acts on its input."""

    dropout: float = Field(default=0.0, ge=0, lt=1)


class MlpOptions(NetworkOptions):
    """Hidden layers with ReLU and dropout, then a linear layer; sizes of systems.md 4.2."""

    hidden: tuple[Width, ...] = (512, 256)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class ForestOptions(Options):
    """Random forest; `max_depth` 2 is the published value, null lets trees grow."""

    trees: int = Field(default=100, ge=1)
    max_depth: int | None = Field(default=2, ge=1)
    class_weight: Literal["balanced"] | None = None


class SvmOptions(Options):
    """RBF support vector machine on features standardised on train."""

    c: float = Field(default=1.0, gt=0)
    gamma: Literal["scale", "auto"] | Annotated[float, Field(gt=0)] = "scale"
    class_weight: Literal["balanced"] | None = None


class KnnOptions(Options):
    """Exact Euclidean nearest neighbours."""

    neighbours: int = Field(default=5, ge=1)


class DummyOptions(Options):
    """Label prevalence or train mean, whatever the input."""


class DnnOptions(MlpOptions):
    """The network of systems.md 4.7; without weight decay the optimiser is plain Adam."""

    hidden: tuple[Width, ...] = (256, 64)
    dropout: float = Field(default=0.4, ge=0, lt=1)
    batch: int = Field(default=32, ge=1)
    epochs: int = Field(default=20, ge=1)
    weight_decay: float = Field(default=0.0, ge=0)


class LinregOptions(Options):
    """Ordinary least squares with an intercept: nothing to choose."""


class KMeansSvmOptions(Options):
    """Clusters of the train vectors, and the seed of their first centroids; 15 is the published number."""

    clusters: int = Field(default=15, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
