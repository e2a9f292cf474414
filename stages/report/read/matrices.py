"""Where vectors come from: the cards of `fit`, `embed`, `reduce` and `fuse`, and the way back from any matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.models.encoders.inputs import JOINED
from stages.report.inputs import Asked
from stages.report.words import anchor
from store.errors import InputError
from store.items.records import IMAGE
from store.results.cards import EntryCard

PRODUCERS = ("embed", "reduce", "fuse")


@dataclass(frozen=True)
class MatrixRow:
    """One matrix and what made it.

    Attributes
    ----------
    name, verb : str
        The entry, and which verb writes it.
    what : str
        The encoder, the reduction or the fusion.
    field : str
        What an encoder encodes; "" for a matrix made from others.
    sources : tuple of str
        The matrices that it is made from; none for an encoder's.
    fitted_by : str
        The entry of `fit` that the encoder needs; "" for an encoder that is never fitted.
    rows, present, failed, dim : int
    dtype, fingerprint, content, digest : str
        As in the card; "" where it lacks them. The digest names the matrix, the content what was encoded.
    """

    name: str
    verb: str
    what: str
    field: str
    sources: tuple[str, ...]
    fitted_by: str
    rows: int
    present: int
    failed: int
    dim: int
    dtype: str
    fingerprint: str
    content: str
    digest: str

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return anchor("matrix", self.name)


@dataclass(frozen=True)
class Step:
    """One matrix on the way back from an experiment to its encoders; `depth` 0 is what the experiment itself reads."""

    depth: int
    name: str
    row: MatrixRow | None


def read_matrices(verb: str, files: Sequence[Path], asked: Asked) -> list[MatrixRow]:
    """Read the cards of some entries of a verb, in their order; what one of them lacks stays blank or 0.

    Parameters
    ----------
    verb : {"embed", "reduce", "fuse"}
    files : sequence of Path
        The cards.
    asked : mapping
        What params.yaml asks of each verb's entries.
    """
    return [
        _matrix_row(verb, path.stem, EntryCard.read(path), asked.get(verb, {}).get(path.stem, {})) for path in files
    ]


def _matrix_row(verb: str, name: str, card: EntryCard, asked: Mapping[str, Any]) -> MatrixRow:
    features = card.made_of.get("features", ())

    def text(key: str) -> str:
        return str(card.made_of.get(key, ""))

    return MatrixRow(
        name=name,
        verb=verb,
        what=text("encoder") or text("fusion") or str(asked.get("method") or ""),
        field=text("field"),
        sources=(features,) if isinstance(features, str) else tuple(map(str, features)),
        fitted_by=str(asked.get("fit") or ""),
        rows=card.counts.get("rows", 0),
        present=card.counts.get("present", 0),
        failed=card.counts.get("failed", 0),
        dim=card.counts.get("dim", 0),
        dtype=text("dtype"),
        fingerprint=text("fingerprint"),
        content=text("content"),
        digest=text("digest"),
    )


def trail(features: Iterable[str], matrices: Mapping[str, MatrixRow]) -> tuple[Step, ...]:
    """Return the way from some matrices back to the encoders, each followed by what it is made from."""
    return tuple(_steps(features, matrices, ()))


def _steps(features: Iterable[str], matrices: Mapping[str, MatrixRow], above: tuple[str, ...]) -> Iterator[Step]:
    for name in features:
        row = matrices.get(name)
        yield Step(len(above), name, row)
        if row is not None and name not in above:
            yield from _steps(row.sources, matrices, (*above, name))


@dataclass(frozen=True)
class Lineage:
    """Where matrices come from.

    Attributes
    ----------
    fields : mapping of str to str
        For each matrix of an encoder, what it encodes: "image", a text field, or both, as "caption + image".
    sources : mapping of str to tuple of str
        For each reduced or fused matrix, the matrices that it is made from.
    """

    fields: Mapping[str, str]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def modalities(self, features: Iterable[str]) -> frozenset[str]:
        """Tell whether matrices show "text", "image" or both; empty where one of them is unknown."""
        seen: set[str] = set()
        for name in features:
            found = self._of(name, frozenset())
            if not found:
                return frozenset()
            seen |= found
        return frozenset(seen)

    def _of(self, name: str, above: frozenset[str]) -> frozenset[str]:
        if name in self.fields:
            return frozenset("image" if each == IMAGE else "text" for each in self.fields[name].split(JOINED))
        if name in above:
            raise InputError(f"expected matrices made from others, found {name!r} made from itself; run `dvc repro`")
        parts = [self._of(source, above | {name}) for source in self.sources.get(name, ())]
        return frozenset().union(*parts) if all(parts) else frozenset()


def lineage(matrices: Iterable[MatrixRow]) -> Lineage:
    """Return the lineage that the cards of the matrices tell."""
    rows = list(matrices)
    made = {row.name: row.sources for row in rows if row.verb != "embed"}
    return Lineage({row.name: row.field for row in rows if row.verb == "embed"}, made)


@dataclass(frozen=True)
class FittedRow:
    """One entry of `fit`, or of `fuse` where the fusion learns.

    Attributes
    ----------
    name : str
    what : str
        The encoder or the fusion.
    inputs : str
        The field, or the features.
    rows, epochs : int
    loss : str
        "" without epochs.
    transductive : bool
        Whether it saw the inputs of dev and test too.
    """

    name: str
    what: str
    inputs: str
    rows: int
    epochs: int
    loss: str
    transductive: bool


def read_fitted(files: Sequence[Path]) -> list[FittedRow]:
    """Read the cards of some entries of `fit`, in their order; what one of them lacks stays blank or 0."""
    return [_fitted_row(path.stem, EntryCard.read(path)) for path in files]


def read_fused(files: Sequence[Path]) -> list[FittedRow]:
    """Read the cards of some entries of `fuse`, in their order; those whose fusion learns nothing are left out."""
    cards = [(path.stem, EntryCard.read(path)) for path in files]
    return [
        FittedRow(
            name,
            str(card.made_of["fusion"]),
            " + ".join(card.made_of["features"]),
            card.counts["fitted_rows"],
            0,
            "",
            card.made_of["transductive"],
        )
        for name, card in cards
        if "fitted_rows" in card.counts
    ]


def _fitted_row(name: str, card: EntryCard) -> FittedRow:
    loss = card.metrics.get("loss")
    return FittedRow(
        name=name,
        what=str(card.made_of.get("encoder", "")),
        inputs=str(card.made_of.get("field", "")),
        rows=card.counts.get("rows", 0),
        epochs=card.counts.get("epochs", 0),
        loss="" if loss is None else f"{float(loss):.4g}",
        transductive=bool(card.made_of.get("transductive", False)),
    )
