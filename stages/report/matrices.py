"""Where vectors come from: the cards of `embed`, `reduce` and `fuse` as rows of the page, and the way back from any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.report.readings import read_json
from stages.report.settings import Asked
from stages.report.words import anchor

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
    return [_row(verb, path.stem, read_json(path), asked.get(verb, {}).get(path.stem, {})) for path in files]


def _row(verb: str, name: str, card: Mapping[str, Any], asked: Mapping[str, Any]) -> MatrixRow:
    features = card.get("features", ())

    def text(key: str) -> str:
        return str(card.get(key, ""))

    def count(key: str) -> int:
        return int(card.get(key, 0))

    return MatrixRow(
        name=name,
        verb=verb,
        what=text("encoder") or text("fusion") or str(asked.get("method") or ""),
        field=text("field"),
        sources=(features,) if isinstance(features, str) else tuple(map(str, features)),
        fitted_by=str(asked.get("fit") or ""),
        rows=count("rows"),
        present=count("present"),
        failed=count("failed"),
        dim=count("dim"),
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
