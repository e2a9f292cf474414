"""The options of every fitter, `params` fills them from flat entries; docs/systems/encoders.md#fitted-on-train-rows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from stages.models.catalog import Options, Width, did_you_mean
from stages.models.encoders.catalog.encoders import FROZEN
from stages.models.encoders.catalog.row import UNPUBLISHED, Decode, Pool, Resize, Scale
from stages.models.encoders.image.architectures import ARCHITECTURES

Side = Annotated[int, Field(ge=1, le=32)]


class W2vOptions(Options):
    """Word2Vec, continuous bag of words with negative sampling; docs/systems/encoders.md#w2v.

    Attributes
    ----------
    vector_size : int
        Width of the word vectors.
    window : int
        Words on each side.
    min_count : int
        Rarer words are not learnt.
    epochs, negative : int
        Passes over the texts; noise words drawn for every word.
    """

    vector_size: Width = 100
    window: Width = 5
    min_count: Width = 1
    epochs: Width = 5
    negative: Width = 5


class BovwOptions(Options):
    """A vocabulary of visual words, k-means on SIFT descriptors; docs/systems/encoders.md#bovw.

    Attributes
    ----------
    k : int
        Words.
    dense : bool
        Descriptors on a grid of 8 pixels instead of at key points, which flat pictures have few of.
    sample : int
        Descriptors to cluster at most.
    regions : {"none", "grid", "boxes3"}
        What `regions: true` of an `embed` entry gives a histogram each: the cells of `grid`, or three boxes side by
        side over the full height, as in the pictures of NLVR.
    grid : (int, int)
        Rows and columns of cells, for `regions: grid` and for `map: true` of an `embed` entry.
    """

    k: int = Field(default=256, ge=2)
    dense: bool = False
    sample: Width = 100_000
    regions: Literal["none", "grid", "boxes3"] = "none"
    grid: tuple[Side, Side] = (4, 4)


class ConvaeOptions(Options):
    """A convolutional autoencoder, trained with Adam on the mean squared error; docs/systems/encoders.md#convae.

    Attributes
    ----------
    size : int
        Pixels of a side, a multiple of 4.
    resize : {"squash", "crop"}
        Both sides at once, whatever the picture's shape; or the short side, then the centre.
    hidden, latent : int
        Widths of the linear layers; `latent` is that of the vectors.
    batch, epochs : int
    lr : float
    """

    size: int = Field(default=224, ge=8, multiple_of=4)
    resize: Resize = "squash"
    hidden: Width = 1200
    latent: Width = 200
    batch: Width = 32
    epochs: Width = 100
    lr: float = Field(default=1e-3, gt=0)


Count = Annotated[int, Field(ge=1)]


class FinetuneOptions(Options):
    """What all of them share.

    Attributes
    ----------
    model : str, optional
        The weights to start from, as for the encoder that is fine-tuned; None takes that encoder's own.
    revision : str, optional
        The commit of a hub id.
    lr, weight_decay : float
        Of the optimiser.
    batch : int
        Items of a step.
    epochs : int
        Most passes over the train rows.
    head_lr : float, optional
        Learning rate of the linear classifier; None takes `lr`, as in the papers. With few rows a classifier that
        starts from nothing learns too little at a rate that suits a trained network.
    optimizer : {"adamw", "adam"}
    decay : {"linear", "none"}
        Whether the learning rate falls to zero with the last step of the last epoch.
    dropout : float
        Before the linear classifier.
    patience : int, optional
        Epochs without a lower loss on the rows set aside after which the training ends; None trains all epochs. The
        best epoch's weights are kept in any case.
    """

    model: str | None = None
    revision: str | None = None
    lr: float = Field(default=5e-5, gt=0)
    head_lr: float | None = Field(default=None, gt=0)
    batch: Count = 4
    weight_decay: float = Field(default=0.01, ge=0)
    epochs: Count = 3
    dropout: float = Field(default=0.1, ge=0, lt=1)
    patience: Count | None = None
    optimizer: Literal["adamw", "adam"] = "adamw"
    decay: Literal["linear", "none"] = "linear"


class BertOptions(FinetuneOptions):
    """BERT with its tanh pooler; docs/systems/encoders.md#bert-ft.

    Attributes
    ----------
    pool : {"pooled", "cls", "mean"}
        What of the last layer goes to the classifier, and is the vector afterwards.
    max_len : int
        Most tokens of a text.
    """

    pool: Pool = "pooled"
    max_len: int = Field(default=64, ge=3)


class BgeOptions(BertOptions):
    """BGE by its [CLS] vector, which is not normalised; docs/systems/encoders.md#bge-ft."""

    pool: Pool = "cls"
    max_len: int = Field(default=512, ge=3)


class PairOptions(BertOptions):
    """BERT behind a picture: a visual-semantic base first, then the fine-tuning; docs/systems/encoders.md#bert-pair-ft.

    `head_lr` is that of both classifiers and of the projection of pictures to the width of the words.

    Attributes
    ----------
    image_encoder, image_model, image_revision
        The frozen image encoder of the catalogue, and its weights where they are not its own.
    words_encoder, words_model, words_revision
        The frozen encoder of words or tokens that the base reads; only `fit` needs it.
    vse_width : int
        Numbers d that the base makes of a picture, of a text, and of both.
    vse_epochs, vse_batch, vse_lr
        Of the base's own training; it ends earlier when the loss on the rows set aside no longer falls.
    """

    batch: Count = 32
    image_encoder: str = "efficientnet-lite0"
    image_model: str | None = None
    image_revision: str | None = None
    words_encoder: str = "minilm"
    words_model: str | None = None
    words_revision: str | None = None
    vse_width: Count = 512
    vse_epochs: Count = 30
    vse_batch: Count = 64
    vse_lr: float = Field(default=0.01, gt=0)

    @field_validator("image_encoder")
    @classmethod
    def _sees(cls, name: str) -> str:
        return _frozen(name, [row.name for row in FROZEN.values() if row.kind == "image"], "image encoder")

    @field_validator("words_encoder")
    @classmethod
    def _reads(cls, name: str) -> str:
        return _frozen(name, [row.name for row in FROZEN.values() if "tokens" in row.options], "encoder of words")

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        for what in ("image", "words"):
            row, model = FROZEN[getattr(self, f"{what}_encoder")], getattr(self, f"{what}_model")
            if model is None and row.model == UNPUBLISHED:
                raise ValueError(f"{what}_model: encoder {row.name!r} has no weights of its own; name a file of them")
            if model is not None and "model" not in row.options:
                raise ValueError(f"{what}_model: encoder {row.name!r} has no weights to choose; leave it out")
        return self


def _frozen(name: str, known: list[str], what: str) -> str:
    if name not in known:
        raise ValueError(f"no frozen {what} {name!r}{did_you_mean(name, known)}; see {known}")
    return name


class ImageOptions(FinetuneOptions):
    """An ImageNet network, all of it trained, on augmented pictures; docs/systems/encoders.md#resnet152-ft.

    Attributes
    ----------
    base : str
        The image network of the catalogue that is fine-tuned.
    size, resize, scale, decode
        As for that encoder; None keeps its own.
    augment : bool
        Train on random crops of at least 80 % of the area, mirrored half of the time.
    freeze : float
        Share of the first layers that keep their weights.
    unfreeze_from : str, optional
        Instead of `freeze`: the layer or block from which on weights are trained.
    """

    base: str = "resnet152"
    size: int | None = Field(default=None, ge=32)
    resize: Resize | None = None
    scale: Scale | None = None
    decode: Decode | None = None
    augment: bool = True
    freeze: float = Field(default=0.0, ge=0, lt=1)
    unfreeze_from: str | None = None
    epochs: Count = 5

    @field_validator("base")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            raise ValueError(
                f"no image network {name!r}{did_you_mean(name, ARCHITECTURES)}; see {sorted(ARCHITECTURES)}"
            )
        return name


class HalfOptions(ImageOptions):
    """An ImageNet network whose first half keeps its weights; docs/systems/encoders.md#half-of-the-layers-frozen."""

    augment: bool = False
    freeze: float = Field(default=0.5, ge=0, lt=1)
    lr: float = Field(default=1e-3, gt=0)
    batch: Count = 64
    weight_decay: float = Field(default=0.0, ge=0)
    epochs: Count = 10
    dropout: float = Field(default=0.2, ge=0, lt=1)
    patience: Count | None = 2
    optimizer: Literal["adamw", "adam"] = "adam"
    decay: Literal["linear", "none"] = "none"


class Inceptionv3Options(HalfOptions):
    """Inception v3; docs/systems/encoders.md#inceptionv3-ft50."""

    base: str = "inceptionv3"


class Resnet50v2Options(HalfOptions):
    """ResNet-50 v2; docs/systems/encoders.md#resnet50v2-ft50."""

    base: str = "resnet50v2"


class Mobilenetv2Options(HalfOptions):
    """MobileNet v2; docs/systems/encoders.md#mobilenetv2-ft50."""

    base: str = "mobilenetv2"
