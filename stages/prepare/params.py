"""What `prepare` is asked: the section `prepare` of params.yaml, validated and frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from stages.models.encoders.image.decoding import MAX_PIXELS
from stages.prepare.sections import (
    CocoParams,
    Frozen,
    GoodreadsParams,
    MmfrbParams,
    NlvrParams,
    VisualGenomeParams,
    WebvisionParams,
)
from stages.prepare.sources.table.params import TableParams


class ScenesParams(Frozen):
    """The embedded data set: pictures composed of emoji, with captions.

    Attributes
    ----------
    items : int
        How many; item i depends on the seed and on i alone.
    size : int
        Side of a picture in pixels.
    objects : int
        The largest number of objects in a picture; at least one is drawn.
    smallest, largest : float
        Side of an object as a share of the side of the picture.
    quality : int
        JPEG quality.
    named : float
        Chance that an object is named by the caption.
    wrong : float
        Chance that a caption names something that is not there.
    silent : float
        Chance that the caption is missing.
    """

    items: int = Field(default=2000, ge=1)
    size: int = Field(default=320, ge=32, le=4096)
    objects: int = Field(default=5, ge=1, le=20)
    smallest: float = Field(default=0.35, gt=0, le=1)
    largest: float = Field(default=0.65, gt=0, le=1)
    quality: int = Field(default=90, ge=1, le=95)
    named: float = Field(default=0.7, ge=0, le=1)
    wrong: float = Field(default=0.1, ge=0, le=1)
    silent: float = Field(default=0.08, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"expected smallest <= largest, found {self.smallest} > {self.largest}")
        return self


class PrepareParams(Frozen):
    """The section `prepare`.

    Attributes
    ----------
    source : str
        Where the items come from: scenes, table, or the name of a published data set.
    path : str
        What the source reads: the vocabulary of the scenes, the table (or the folder that holds it), or the folder of
        the data set. DVC watches it.
    root : str or None
        The folder of a published data set, where `path` names only the part of it that DVC should watch: a set of a
        million files takes hours to hash.
    seed : int
        Of all that is drawn at random.
    limit : int or None
        Stop after so many rows, those that the source skips by its rules not counted.
    max_reject_share : float
        More rejected rows than this share stop the run.
    max_pixels : int
        Larger pictures are rejected before a pixel is decoded; a decoded pixel takes three bytes, in each of some
        threads. `fit` and `embed` take what this lets in.
    scenes, coco, webvision, goodreads, nlvr, visual_genome, mmfrb
        Each is read where the source has its name.
    table : TableParams or None
        Required where the source is table.
    """

    source: Literal["scenes", "table", "coco", "webvision", "goodreads", "nlvr", "visual_genome", "mmfrb"]
    path: str = Field(min_length=1)
    root: str | None = Field(default=None, min_length=1)
    seed: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, ge=1)
    max_reject_share: float = Field(default=0.05, ge=0, le=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=2**31 - 1)
    scenes: ScenesParams = ScenesParams()
    table: TableParams | None = None
    coco: CocoParams = CocoParams()
    webvision: WebvisionParams = WebvisionParams()
    goodreads: GoodreadsParams = GoodreadsParams()
    nlvr: NlvrParams = NlvrParams()
    visual_genome: VisualGenomeParams = VisualGenomeParams()
    mmfrb: MmfrbParams = MmfrbParams()

    @property
    def folder(self) -> Path:
        """The folder of a published data set."""
        return Path(self.root or self.path)

    @model_validator(mode="after")
    def _has_its_section(self) -> Self:
        if self.source == "table" and self.table is None:
            raise ValueError("expected the section table beside source: table, found none; say which columns mean what")
        if self.root is not None and self.source in ("scenes", "table"):
            raise ValueError(f"expected no root beside source: {self.source}, found {self.root!r}; path says it all")
        return self
