"""What is asked of each published data set: the sections `coco` to `mmfrb` of `prepare`, validated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CocoParams(Frozen):
    """A folder in the COCO layout; docs/systems/sources.md#coco.

    Attributes
    ----------
    subsets : tuple of str or None
        Which of `annotations/{captions,instances}_<subset>.json` are read, in this order; None takes all that are
        there, in the order of their names.
    parts : dict of str to {"train", "dev", "test"}
        The part that every picture of a subset is declared to stand in; empty leaves the split to `split`.
    caption_policy : {"first", "all", "join"}
        The caption of the lowest annotation id, a row for each caption, or all captions in one text.
    keep_unlabelled : bool
        Keep pictures without any instance, unlabelled; otherwise they are skipped and counted.
    negatives : bool
        Keep pictures without any instance as examples of none of the classes, where the subset has instances at all.
        Not beside `keep_unlabelled`.
    """

    subsets: tuple[str, ...] | None = None
    parts: dict[str, Literal["train", "dev", "test"]] = Field(default_factory=dict)
    caption_policy: Literal["first", "all", "join"] = "first"
    keep_unlabelled: bool = False
    negatives: bool = False

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if self.keep_unlabelled and self.negatives:
            raise ValueError(
                "expected keep_unlabelled or negatives, found both; a picture without instances is either unlabelled, "
                "or labelled with none of the classes"
            )
        return self


class WebvisionParams(Frozen):
    """WebVision 1.0 or 2.0 in one of its three layouts; docs/systems/sources.md#webvision.

    Attributes
    ----------
    layout : {"auto", "original", "reorganised", "per_image"}
        How the folder is laid out; auto looks.
    origins : tuple of {"google", "flickr"}
        Which of the two are read; rows whose origin nothing tells are left out unless both are.
    official_val : bool
        Read the official validation list as well, its rows declared test and all others train.
    class_limit, per_class_limit : int or None
        Only the first classes in the order of the synsets; at most so many rows of each, of the official list as well.
    """

    layout: Literal["auto", "original", "reorganised", "per_image"] = "auto"
    origins: tuple[Literal["google", "flickr"], ...] = Field(default=("google", "flickr"), min_length=1)
    official_val: bool = False
    class_limit: int | None = Field(default=None, ge=1)
    per_class_limit: int | None = Field(default=None, ge=1)


class GoodreadsParams(Frozen):
    """The Goodreads dumps, or the prepared table of the authors; docs/systems/sources.md#goodreads.

    Attributes
    ----------
    answer : {"fiction", "genre", "rating"}
        What is to be predicted: fiction or not, one of ten genres, or the average rating.
    languages : tuple of str
        Language codes that are kept; those of the authors write British English as eng-GB.
    covers : str
        The folder of the covers, below the root; `<book_id>`, without an ending or with .jpg.

    The published sample is `prepare.limit: 5000`.
    """

    answer: Literal["fiction", "genre", "rating"] = "fiction"
    languages: tuple[str, ...] = ("en", "eng", "en-US", "en-CA", "eng-GB")
    covers: str = "images"


class NlvrParams(Frozen):
    """NLVR version 1; docs/systems/sources.md#nlvr.

    Attributes
    ----------
    subset : str
        Which folder is read: dev, test, hidden or train.
    """

    subset: str = Field(default="dev", pattern=r"^[A-Za-z0-9_-]+$")


class VisualGenomeParams(Frozen):
    """Visual Genome; docs/systems/sources.md#visual_genome.

    Attributes
    ----------
    phrases : int
        How many region phrases, those of the largest regions, make the caption.
    classes : int
        How many of the most frequent objects are classes.
    subset : int or None
        So many pictures, drawn by `prepare.seed`; None takes all.
    keep_unlabelled : bool
        Keep pictures without an object of these classes, unlabelled; otherwise they are skipped and counted.
    """

    phrases: int = Field(default=5, ge=1)
    classes: int = Field(default=100, ge=1)
    subset: int | None = Field(default=None, ge=1)
    keep_unlabelled: bool = False


class MmfrbParams(Frozen):
    """Products with categories as JSON lines; docs/systems/sources.md#mmfrb.

    Attributes
    ----------
    file : str or None
        The JSONL file below the root, where there is more than one.
    """

    file: str | None = Field(default=None, min_length=1)
