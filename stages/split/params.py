"""What `split` is asked: the section `split` of params.yaml, validated and frozen."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Protocol = Literal["holdout", "per_class", "first_n", "P-image", "P-group"]

_READ_BY: dict[str, tuple[Protocol, ...]] = {
    "test": ("holdout", "P-image"),
    "dev": ("holdout", "first_n", "P-image", "P-group"),
    "share": ("per_class",),
    "first": ("first_n",),
    "held_out": ("P-group",),
    "by": ("P-group",),
    "within": ("P-group",),
    "strict_text": ("P-group",),
}
"""Which protocols read an option; one that is not listed is read by all."""


class SplitParams(BaseModel):
    """The section `split`; docs/protocols.md tells the protocols.

    An option that the protocol does not read is refused, unless it has its default: a recipe that names another
    protocol may be laid over a file that spells the defaults out.

    Attributes
    ----------
    protocol : {"holdout", "per_class", "first_n", "P-image", "P-group"}
        How the data is cut; P-image and P-group say as well who asks and who may be found in a retrieval.
    test : float
        Share of the rows kept for the test part; of holdout and P-image.
    dev : float
        Share of the remaining rows cut from train for choices such as early stopping; also cut from the train rows of
        a data set that declares its own split without a dev part.
    seed : int
        Of all that is drawn.
    share : float
        Share of each class that is halved into dev and test; of per_class.
    first : int
        So many rows train; of first_n.
    held_out : int
        So many values of the column `by` are held out; of P-group.
    by, within : str
        Columns of meta: the one whose values are held out, and the one whose value "0" makes a held-out row a query; of
        P-group.
    strict_text : bool
        Held-out rows whose label stands in train as well get no role; of P-group.
    honour : bool
        A split that the data set declares itself goes before the protocol; false takes no notice of it.
    near : int or None
        Test pictures within so many bits of a train or dev picture are reported as near-duplicates; None looks for
        none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Protocol = "holdout"
    test: float = Field(default=0.2, gt=0, lt=1)
    dev: float = Field(default=0.1, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    share: float = Field(default=0.04, gt=0, lt=1)
    first: int = Field(default=4000, ge=1)
    held_out: int = Field(default=2, ge=1)
    by: str = Field(default="directory", min_length=1)
    within: str = Field(default="permutation", min_length=1)
    strict_text: bool = False
    honour: bool = True
    near: int | None = Field(default=4, ge=0, le=10)

    @model_validator(mode="after")
    def _reads_what_is_given(self) -> Self:
        for name, readers in _READ_BY.items():
            value = getattr(self, name)
            if self.protocol in readers or value == type(self).model_fields[name].default:
                continue
            raise ValueError(
                f"expected only options that the protocol {self.protocol} reads, found {name}: {value}, which is of "
                f"{' and '.join(readers)}; remove it, or choose another protocol"
            )
        return self
