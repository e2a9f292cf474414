"""What frozen encoders give for the train rows, once before a training: vectors of pictures, and of words in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.encoders.batching import Encoded, Failed, encode_stream
from stages.encoders.protocol import Encoder, Placement, Rows
from stages.encoders.timing import Seconds
from stages.fit.context import FitContext
from stages.fit.rows import FieldRows, Index, Raw


@dataclass(frozen=True)
class Pictures:
    """The pictures of n rows.

    Attributes
    ----------
    vectors : ndarray of float32, [U, D_v]
        One for each distinct picture, zero where it could not be read.
    of : ndarray of int64, [n]
        The picture of each row.
    failed : mapping of int to str
        Pictures that could not be read, with the reason.
    """

    vectors: Rows
    of: Index
    failed: Mapping[int, str]


@dataclass(frozen=True)
class Words:
    """The texts of n rows as vectors of their words, in a file that need not fit into memory.

    Attributes
    ----------
    vectors : ndarray of float16, [W, D]
        Of the words of all distinct texts.
    starts, counts : ndarray of int64, [U]
        Where a text's words begin, and how many they are.
    of : ndarray of int64, [n]
        The text of each row.
    """

    vectors: NDArray[np.float16]
    starts: Index
    counts: Index
    of: Index

    @property
    def longest(self) -> int:
        """T: the words of the longest text, at least 1."""
        return max(1, int(self.counts.max(initial=0)))

    def mask(self, rows: Index) -> NDArray[np.bool_]:
        """Return which of the T words n rows have, bool [n, T]: the first ones."""
        return np.arange(self.longest) < self.counts[self.of[rows]][:, None]

    def tokens(self, rows: Index) -> Rows:
        """Return the words of n rows, float32 [n, T, D], zeros behind the last one."""
        mask, texts = self.mask(rows), self.of[rows]
        words = np.zeros((*mask.shape, self.vectors.shape[1]), np.float32)
        pairs = zip(self.starts[texts], self.counts[texts], strict=True)
        places = [np.arange(start, start + count) for start, count in pairs]
        words[mask] = self.vectors[np.concatenate([np.zeros(0, np.int64), *places])]
        return words


def see_pictures(context: FitContext, encoder: Encoder, rows: FieldRows) -> Pictures:
    """Encode every distinct picture once.

    Raises
    ------
    InputError
        When the image encoder's files are wrong.
    """
    first, of = _distinct(rows.keys)
    vectors = np.zeros((len(first), encoder.parts[0].width), np.float32)
    failed: dict[int, str] = {}
    for result in _encoded(context, encoder, lambda at: rows.load(int(first[at])), len(first), "pictures"):
        if isinstance(result, Encoded):
            vectors[result.items] = result.vectors[:, : vectors.shape[1]]
        else:
            failed[result.item] = result.reason
    return Pictures(vectors, of, failed)


def read_words(context: FitContext, encoder: Encoder, rows: FieldRows, path: Path) -> Words:
    """Encode the words of every distinct text once, into a file.

    Parameters
    ----------
    encoder : Encoder
        Whose rows hold `tokens` behind the vector.
    path : Path
        Where the vectors of the words shall lie.
    """
    first, of = _distinct(rows.keys)
    begin, width = encoder.parts[0].width, encoder.parts[1].shape[1]
    starts, counts, end = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64), 0
    with path.open("wb") as stream:
        for result in _encoded(context, encoder, lambda at: rows.load(int(first[at])), len(first), "words"):
            for item, row in _rows(result):
                starts[item], counts[item] = end, int(row[-1])
                stream.write(row[begin : begin + counts[item] * width].astype(np.float16).tobytes())
                end += int(counts[item])
    vectors = np.memmap(path, np.float16, "r", shape=(end, width)) if end else np.zeros((0, width), np.float16)
    return Words(vectors, starts, counts, of)


def _rows(result: Encoded | Failed) -> Iterable[tuple[int, Rows]]:
    return zip(result.items.tolist(), result.vectors, strict=True) if isinstance(result, Encoded) else ()


def _distinct(keys: NDArray[np.uint8]) -> tuple[Index, Index]:
    """Return the first row of each distinct key, in the order of the rows, and for each row which key is its own."""
    records = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1]))).ravel()
    _, first, inverse = np.unique(records, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse]


def _encoded(
    context: FitContext, encoder: Encoder, load: Callable[[int], Raw], count: int, what: str
) -> Iterator[Encoded | Failed]:
    """Encode `count` items by torch in float32: the same rows in every run."""
    encoder.load(Placement(context.device) if encoder.runs_network else Placement())
    with context.progress.track(f"fit {context.name}: {what}", count) as tracker:
        for result in encode_stream(encoder, load, count, context.workers, Seconds()):
            tracker.advance(len(result.items) if isinstance(result, Encoded) else 1)
            yield result
