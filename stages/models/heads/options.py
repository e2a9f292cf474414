"""The options of every head, which `train` fills from its flat params; docs/systems/heads.md#training-of-networks."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.models.catalog import Options, Width


class NetworkOptions(Options):
    """How a network is trained.

    Attributes
    ----------
    optimizer : {"adamw", "adam", "sgd"}
    momentum : float
        Of sgd.
    lr : float
        Learning rate, the same throughout.
    weight_decay : float
        Decoupled from the gradient in adamw, a part of it in adam and sgd.
    batch : int
        Rows of a step.
    epochs : int
        Most passes over the train rows.
    patience : int
        Early stopping: how many epochs may pass without a better one on the dev rows; the best epoch is kept.
    clip : float
        Largest norm of the gradients.
    monitor : {"loss", "top_5"}
        What makes an epoch better: a lower dev loss, or (multiclass only) more dev rows whose class is among the five
        highest scores, and of equally many the lower loss.
    modality_dropout : float
        In training each input that a row has is taken away with this probability, but never all of them.
    replica : bool
        The published training of paper 3: each epoch draws 499 rows (999 in a regression) with
        replacement, and the last epoch counts; `batch` is 1 and `epochs` 50 unless they are given.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: int = Field(default=128, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=5, ge=1)
    clip: float = Field(default=1.0, gt=0)
    monitor: Literal["loss", "top_5"] = "loss"
    modality_dropout: float = Field(default=0.0, ge=0, lt=1)
    replica: bool = False

    @model_validator(mode="after")
    def _as_published(self) -> Self:
        """Let a replica draw single rows, 50 epochs long."""
        if self.replica:
            # Not before validation: of what a validator touched, strict JSON takes no lists for tuples any more.
            published = {"batch": 1, "epochs": 50}
            self.__dict__.update(
                {name: value for name, value in published.items() if name not in self.model_fields_set}
            )
        return self


class LinearOptions(NetworkOptions):
    """One linear layer; `dropout` acts on its input."""

    dropout: float = Field(default=0.0, ge=0, lt=1)


class MlpOptions(NetworkOptions):
    """Hidden layers with ReLU and dropout, then a linear layer; sizes of docs/systems/heads.md#mlp.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    dropout : float
        Behind each of them.
    """

    hidden: tuple[Width, ...] = (512, 256)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class ForestOptions(Options):
    """Random forest.

    Attributes
    ----------
    max_depth : int, optional
        2 is the published value; null lets trees grow.
    class_weight : {"balanced"}, optional
        Rows of rare classes count more.
    """

    trees: int = Field(default=100, ge=1)
    max_depth: int | None = Field(default=2, ge=1)
    class_weight: Literal["balanced"] | None = None


class SvmOptions(Options):
    """RBF support vector machine on features standardised on train.

    Attributes
    ----------
    c : float
        The more, the more a row on the wrong side costs.
    gamma : {"scale", "auto"} or float
        Of the kernel exp(-gamma d²): 1 / (D variance), 1 / D, or a number.
    class_weight : {"balanced"}, optional
        Rows of rare classes count more.
    """

    c: float = Field(default=1.0, gt=0)
    gamma: Literal["scale", "auto"] | Annotated[float, Field(gt=0)] = "scale"
    class_weight: Literal["balanced"] | None = None


class KnnOptions(Options):
    """Exact Euclidean nearest neighbours.

    Attributes
    ----------
    neighbours : int
        How many train rows have a say.
    """

    neighbours: int = Field(default=5, ge=1)


class DummyOptions(Options):
    """Label prevalence or train mean, whatever the input."""


class DnnOptions(MlpOptions):
    """The network of docs/systems/heads.md#dnn; without weight decay the optimiser is plain Adam."""

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
