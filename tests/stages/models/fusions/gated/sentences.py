"""Items in which several pictures share a sentence, as joined features: what the retrieval fusions are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.models.features.layout import Block, Layout

WORDS, REGIONS, TEXT_WIDTH, IMAGE_WIDTH = 4, 3, 5, 6


@dataclass(frozen=True)
class Sentences:
    """n items: their arrays by input, and the number of each one's sentence."""

    text: dict[str, np.ndarray]
    image: dict[str, np.ndarray]
    number: np.ndarray

    @property
    def layout(self) -> Layout:
        return tuple(
            Block(each["vectors"].shape[1], {k: v.shape[1:] for k, v in each.items() if k != "vectors"})
            for each in (self.text, self.image)
        )

    def joined(self, present: np.ndarray | None = None) -> np.ndarray:
        """The two inputs side by side, then who is there [n, 2]; what is not there is zero."""
        shown = np.ones((len(self.number), 2)) if present is None else present
        flat = [
            np.concatenate([each.reshape(len(each), -1) for each in arrays.values()], axis=1) * shown[:, column, None]
            for column, arrays in enumerate((self.text, self.image))
        ]
        return np.concatenate([*flat, shown], axis=1).astype(np.float32)


def sentences(count: int = 60, texts: int = 8, seed: int = 0, cells: str = "regions") -> Sentences:
    """Draw items; a picture is a noisy view of what its sentence says, in regions or as a map of 1 x 3 cells."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(texts, WORDS, TEXT_WIDTH))
    length = rng.integers(1, WORDS + 1, texts)
    mask = np.arange(WORDS) < length[:, None]
    tokens[~mask] = 0
    said = rng.normal(size=(texts, REGIONS, IMAGE_WIDTH))
    number = rng.integers(0, texts, count)
    seen = said[number] + rng.normal(size=(count, REGIONS, IMAGE_WIDTH))
    image = {"vectors": seen.mean(axis=1)}
    if cells == "map":
        image["map"] = seen.transpose(0, 2, 1)[:, :, None, :]
    else:
        image |= {"regions": seen, "region_mask": np.ones((count, REGIONS))}
    text = {"vectors": tokens.mean(axis=1)[number], "tokens": tokens[number], "token_mask": mask[number].astype(float)}
    return Sentences(text, image, number)


class Killed(BaseException):
    """As an interrupt, nothing catches it."""


class Killing:
    """A progress that is killed after so many rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Killing]:  # noqa: ARG002 (the protocol)
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002 (the protocol)
        self.rows -= n
        if n and self.rows < 0:
            raise Killed


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
