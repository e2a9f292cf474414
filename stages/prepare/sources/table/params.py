"""What `prepare` is told of somebody's own table: the section `prepare.table` of params.yaml, validated and frozen."""

from __future__ import annotations

import io
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from stages.prepare.sections import Frozen

LISTS = "[]"
"""The `sep` of cells that are written as lists."""

Quoting = Literal["checked", "standard", "none"]
"""How a CSV is quoted; see `TableParams`."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SHARED_COLUMNS = ("image", "id", "labels", "target", "group", "part")


def _codec(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)  # refuses what gives no text as well, such as rot13
    except LookupError:
        raise ValueError(f"expected the name of a text encoding, found {name!r}; utf-8 is the usual one") from None
    return name


def _text(value: Any) -> Any:
    """Take a whole number of YAML for the text that a cell has; what YAML may have changed must be quoted."""
    if isinstance(value, bool | float):
        found = f"expected a text, found {value!r}, which YAML made of what stands there; put it in quotes"
        raise ValueError(found)  # noqa: TRY004 (pydantic reports no TypeError)
    return str(value) if isinstance(value, int) else value


Text = Annotated[str, BeforeValidator(_text)]
"""A name or a cell of the table."""


def is_delimiter(mark: str) -> bool:
    """Tell whether a character can stand between the cells of a CSV."""
    return mark not in '"\r\n\0 '


class TableParams(Frozen):
    """Which columns of a CSV, JSONL or Parquet table mean what; exactly one kind of answer is named.

    An answer is one of label, labels, onehot and target.

    docs/your-data.md explains each with an example.

    Attributes
    ----------
    file : str or None
        The table inside `prepare.path`, where that is a folder with more than one.
    encoding : str
        Encoding of a CSV or JSONL file.
    delimiter : str or None
        What stands between the cells of a CSV; by default what a first line such as `sep=;` says, else a comma, in a
        .tsv a tab.
    quoting : {"checked", "standard", "none"}
        How a CSV is quoted: `standard` as RFC 4180 has it; `checked` likewise, but rows that a stray quote seems to
        have swallowed stop the run; `none` where a quote is a letter like any other, and no cell holds a delimiter.
    blank : list of str
        What a cell holds to say that it is empty, such as N/A; compared without outer blanks, in any column.
    id : str or None
        Column of the ids; without it the numbers of the rows are the ids.
    image : str or None
        Column of the image paths.
    images : str or None
        The folder that image paths are relative to; by default the folder of the table.
    suffix : str
        What the image paths lack at their end, such as .jpg where the column holds the bare names.
    absent : str
        What becomes of a row whose picture is not there: `reject`, or `blank` to keep it by its texts, without one.
    text : str or None
        Column of the only text, which becomes the field `caption`.
    texts : dict of str to str
        Columns of several texts, by field name.
    label : str or None
        Column of one class.
    labels : str or None
        Column of several classes in one cell.
    target : str or None
        Column of a number to predict.
    onehot : list of str
        Columns of several classes, a column for each, which is its name: 1 (or true) where the row bears it, 0 (or
        false) where not. A row without a 1 bears none of the classes; one without either is unlabelled.
    sep : str
        What stands between several classes in one cell; `[]` where a cell is a list, as JSON or Python write it.
    classes : list of str or None
        All classes in order; an unlisted label is an error. A list of as many 0 and 1 is read as flags in that order.
        By default those found, sorted.
    fold : bool
        Take spellings that differ only in case, inner blanks or Unicode form for one class, named in lower case
        (or as in `classes`).
    whole : bool
        Call the classes 1.0 and 2.0, as pandas writes whole numbers beside blanks, 1 and 2.
    min_count : int
        Drop classes of fewer rows; a row left without any counts as unlabelled. Not beside `classes`.
    thousands : str or None
        What groups the digits of the target, such as the comma in 1,234.5.
    decimal : {".", ","}
        The decimal sign of the target; with `thousands` a point it is a comma anyhow.
    negatives : bool
        A cell of `labels` that is an empty list, or a row of `onehot` without a 1, says that the row bears none of the
        classes; otherwise the row is unlabelled, as one with blank cells always is.
    split : str or None
        Column that says train, dev (or val) or test.
    group : str or None
        Column of what must not straddle two parts; by default each item is its own group.
    meta : list of str
        Columns carried along for people to read.
    """

    file: str | None = None
    encoding: Annotated[str, AfterValidator(_codec)] = "utf-8"
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quoting: Quoting = "checked"
    blank: tuple[Text, ...] = ()
    id: Text | None = None
    image: Text | None = None
    images: str | None = None
    suffix: str = ""
    absent: Literal["reject", "blank"] = "reject"
    text: Text | None = None
    texts: dict[str, Text] = Field(default_factory=dict)
    label: Text | None = None
    labels: Text | None = None
    onehot: tuple[Text, ...] = ()
    target: Text | None = None
    sep: str = Field(default="|", min_length=1)
    classes: tuple[Text, ...] | None = None
    fold: bool = False
    whole: bool = False
    min_count: int = Field(default=1, ge=1)
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    decimal: Literal[".", ","] | None = None
    negatives: bool = True
    split: Text | None = None
    group: Text | None = None
    meta: tuple[Text, ...] = ()

    @field_validator("delimiter")
    @classmethod
    def _a_delimiter(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and not is_delimiter(delimiter):
            raise ValueError(f'expected what stands between cells, such as ";" or "\\t", found {delimiter!r}')
        return delimiter

    @field_validator("blank")
    @classmethod
    def _stripped(cls, blank: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.strip() for word in blank)

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
        answers = [name for name in ("label", "labels", "onehot", "target") if getattr(self, name) not in (None, ())]
        if len(answers) != 1:
            found = " and ".join(answers) or "none"
            raise ValueError(f"expected exactly one of label, labels, onehot and target, found {found}")
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"expected another decimal sign than what groups digits, found {self.decimal!r} for both")
        return self

    @model_validator(mode="after")
    def _named_classes(self) -> Self:
        if self.onehot and (self.classes is not None or self.min_count > 1):
            raise ValueError(
                "expected no classes and no min_count beside onehot, found both; its columns are the classes"
            )
        if len(set(self.onehot)) < len(self.onehot):
            raise ValueError(f"expected distinct columns in onehot, found {list(self.onehot)}")
        if self.target is not None and self.classes is not None:
            raise ValueError("expected no classes beside target, found both; a regression has no classes")
        if self.min_count > 1 and (self.classes is not None or self.target is not None):
            raise ValueError("expected no min_count beside classes or target, found both; leave it out")
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
