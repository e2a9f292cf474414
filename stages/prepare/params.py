"""What `prepare` is asked: the section `prepare` of params.yaml, validated and frozen."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from stages.prepare.frozen import Frozen
from stages.prepare.set_params import (
    CocoParams,
    GoodreadsParams,
    MmfrbParams,
    NlvrParams,
    VisualGenomeParams,
    WebvisionParams,
)

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SHARED_COLUMNS = ("image", "id", "labels", "target", "group", "part")


def _codec(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)  # refuses what gives no text as well, such as rot13
    except LookupError:
        raise ValueError(f"expected the name of a text encoding, found {name!r}; utf-8 is the usual one") from None
    return name


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


class TableParams(Frozen):
    """Which columns of a CSV, JSONL or Parquet table mean what; exactly one of label, labels and target is named.

    Attributes
    ----------
    file : str or None
        The table inside `prepare.path`, where that is a folder with more than one.
    images : str or None
        The folder that image paths are relative to; by default the folder of the table.
    id : str or None
        Column of the ids; without it the numbers of the rows are the ids.
    image : str or None
        Column of the image paths.
    text : str or None
        Column of the only text, which becomes the field `caption`.
    texts : dict of str to str
        Columns of several texts, by field name.
    label, labels, target : str or None
        Column of one class, of several classes, or of a number to predict.
    sep : str
        What stands between several classes in one cell.
    classes : list of str or None
        All classes in order; an unlisted label is an error. By default those found, sorted.
    split : str or None
        Column that says train, dev (or val) or test.
    group : str or None
        Column of what must not straddle two parts; by default each item is its own group.
    meta : list of str
        Columns carried along for people to read.
    encoding : str
        Encoding of a CSV or JSONL file.
    """

    file: str | None = None
    images: str | None = None
    id: str | None = None
    image: str | None = None
    text: str | None = None
    texts: dict[str, str] = Field(default_factory=dict)
    label: str | None = None
    labels: str | None = None
    target: str | None = None
    sep: str = Field(default="|", min_length=1)
    classes: tuple[str, ...] | None = None
    split: str | None = None
    group: str | None = None
    meta: tuple[str, ...] = ()
    encoding: Annotated[str, AfterValidator(_codec)] = "utf-8"

    @field_validator("texts")
    @classmethod
    def _named_fields(cls, texts: dict[str, str]) -> dict[str, str]:
        for name in texts:
            if not _FIELD_NAME.fullmatch(name) or name in _SHARED_COLUMNS:
                raise ValueError(
                    f"expected the name of a text field (letters, digits, _; not {', '.join(_SHARED_COLUMNS)}), "
                    f"found {name!r}"
                )
        return texts

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and (not classes or len(set(classes)) < len(classes)):
            raise ValueError(f"expected distinct classes, at least one, found {list(classes)}")
        return classes

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        answers = [name for name in ("label", "labels", "target") if getattr(self, name) is not None]
        if len(answers) != 1:
            found = " and ".join(answers) or "none"
            raise ValueError(f"expected exactly one of label, labels and target, found {found}")
        if self.target is not None and self.classes is not None:
            raise ValueError("expected no classes beside target, found both; a regression has no classes")
        return self

    @model_validator(mode="after")
    def _some_content(self) -> Self:
        if self.text is not None and self.texts:
            raise ValueError("expected text or texts, found both; name all texts in texts")
        if self.image is None and not self.fields:
            raise ValueError("expected a column for image, text or texts, found none; name what is to be embedded")
        return self

    @property
    def fields(self) -> dict[str, str]:
        """The column of each text field."""
        return dict(self.texts) if self.text is None else {"caption": self.text}


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
