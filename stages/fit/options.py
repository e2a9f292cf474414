"""The options of every fitter, `params` fills them from flat entries; docs/systems/encoders.md#fitted-on-train-rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.encoders.row import Resize
from stages.flat_params import Options, Width

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
