"""Trains the base of `bert-pair-ft`, of which a projection stays; docs/systems/fusions.md#visual-semantic-base."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.fit.context import FieldRows, FitContext, FitRows, Index, Raw
from stages.fit.finetune.classifier import labelled_parts
from stages.fit.options import PairOptions
from stages.models.encoders.catalog.encoders import FROZEN, frozen_image
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.pair.finetuned import Projection
from stages.models.encoders.protocol import Encoder, Placement, Rows
from stages.models.encoders.running.batching import Encoded, Failed, Seconds, encode_stream
from stages.models.fusions.semantic.base import PairTable, VisualBase, VseOptions, fit_visual_base
from stages.models.heads.model import LabelledRows as Labelled
from stages.models.heads.model import Problem
from stages.models.training.epochs import Watch
from store.errors import InputError
from store.items.records import IMAGE
from store.results.cards import EntryCard


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
            for item, row in _rows_of(result):
                starts[item], counts[item] = end, int(row[-1])
                stream.write(row[begin : begin + counts[item] * width].astype(np.float16).tobytes())
                end += int(counts[item])
    vectors = np.memmap(path, np.float16, "r", shape=(end, width)) if end else np.zeros((0, width), np.float16)
    return Words(vectors, starts, counts, of)


def _rows_of(result: Encoded | Failed) -> Iterable[tuple[int, Rows]]:
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


@dataclass(frozen=True)
class _Column:
    """An array [n, ...] of which only the rows that are asked for are made.

    What frozen encoders gave lies once for each content, the words in a file: rows are joined when a batch asks.
    """

    rows: Index
    of_row: tuple[int, ...]
    read: Callable[[Index], NDArray[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.of_row

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Index) -> NDArray[Any]:
        return self.read(self.rows[rows])


@dataclass(frozen=True)
class SemanticBase:
    """What stays of the base.

    Attributes
    ----------
    projection : Projection
        W_v and b_v.
    pictures : Pictures
        The pictures of the train rows.
    seen : ndarray of float32, [U, d]
        The distinct ones of them, projected.
    record : mapping
        Names and identities of the frozen encoders.
    card : EntryCard
        What the card of the entry says of it.
    """

    projection: Projection
    pictures: Pictures
    seen: Rows
    record: Mapping[str, Any]
    card: EntryCard


def fit_base(context: FitContext) -> SemanticBase:
    """Encode pictures and words of the train rows by frozen encoders, and train the base on the labelled ones.

    Raises
    ------
    InputError
        When a frozen encoder cannot be built, or not one row be read.
    RunError
        When the training diverged.
    """
    options: PairOptions = context.options
    image, words = frozen_image(options.model_dump(), context.seed), _word_encoder(options, context.seed)
    with context.checkpoints.scratch() as scratch:
        pictures = see_pictures(context, image, context.rows.fields[IMAGE])
        parts = _readable(context, pictures)
        read = read_words(context, words, text_of(context.rows), scratch / "words")
        base = _train(context, pictures, read, parts)
    used = {"image": (options.image_encoder, image), "words": (options.words_encoder, words)}
    record = {role: {"encoder": name, "identity": each.identity()} for role, (name, each) in used.items()}
    projection, last = Projection(base.weight, base.bias), base.history[-1]
    card = EntryCard({"vse_loss": round(last.train_loss, 6)}, {"vse_epochs": last.epoch})
    return SemanticBase(projection, pictures, projection(pictures.vectors), record, card)


def text_of(rows: FitRows) -> FieldRows:
    """Return the text field of rows of pairs."""
    return next(each for name, each in rows.fields.items() if name != IMAGE)


def _word_encoder(options: PairOptions, seed: int) -> Encoder:
    length, model = options.max_len, options.words_model
    choice = EncoderChoice(model, options.words_revision, seed=seed, max_len=length, tokens=True)
    return FROZEN[options.words_encoder].build(choice)


def _readable(context: FitContext, pictures: Pictures) -> tuple[Index, Index]:
    """Return the labelled rows whose picture could be read, to train on and to choose the epoch by."""
    unread = list(pictures.failed)
    train, dev = (part[~np.isin(pictures.of[part], unread)] for part in labelled_parts(context.rows, context.seed))
    if not len(train):
        why = next(iter(pictures.failed.values()), "there are none")
        raise InputError(
            f"fit {context.name}: expected train items that can be read; found none among {len(context.rows)} ({why}); "
            "check the data and the split."
        )
    return train, dev


def _train(context: FitContext, pictures: Pictures, words: Words, parts: tuple[Index, Index]) -> VisualBase:
    options: PairOptions = context.options
    how = VseOptions(
        width=options.vse_width,
        words_width=options.vse_width,
        joint_width=options.vse_width,
        epochs=options.vse_epochs,
        batch=options.vse_batch,
        lr=options.vse_lr,
    )
    problem = Problem(context.rows.task, len(context.rows.classes), context.seed, context.device)
    tables = [_table(pictures, words, rows) for rows in parts]
    train, dev = (Labelled(table, context.rows.targets[rows]) for table, rows in zip(tables, parts, strict=True))
    watch = Watch(context.label, context.progress, context.checkpoints).part("vse")
    return fit_visual_base(tables[0].layout, (train, dev), how, problem, watch)


def _table(pictures: Pictures, words: Words, rows: Index) -> PairTable:
    return PairTable(
        _Column(rows, (words.longest, words.vectors.shape[1]), words.tokens),
        _Column(rows, (words.longest,), words.mask),
        _Column(rows, pictures.vectors.shape[1:], lambda some: pictures.vectors[pictures.of[some]]),
    )
