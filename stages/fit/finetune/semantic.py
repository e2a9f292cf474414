"""Trains the visual-semantic base of `bert-pair-ft` on train rows; docs/systems/fusions.md#visual-semantic-base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.encoders.catalog import FROZEN, frozen_image
from stages.encoders.finetuned_pair import Projection
from stages.encoders.protocol import Encoder, Rows
from stages.encoders.row import EncoderChoice
from stages.epochs import Watch
from stages.errors import InputError
from stages.fit.context import FitContext
from stages.fit.finetune.classifier import labelled_parts
from stages.fit.finetune.frozen import Pictures, Words, read_words, see_pictures
from stages.fit.finetune.options import PairOptions
from stages.fit.rows import FieldRows, FitRows, Index
from stages.fusions.vse_base import PairTable, VisualBase, VseOptions, fit_visual_base
from stages.heads.model import Problem
from stages.heads.model import Rows as Labelled
from stages.records import IMAGE


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
    facts : mapping
        For the card.
    """

    projection: Projection
    pictures: Pictures
    seen: Rows
    record: Mapping[str, Any]
    facts: Mapping[str, Any]


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
    facts = {"vse_epochs": last.epoch, "vse_loss": round(last.train_loss, 6)}
    return SemanticBase(projection, pictures, projection(pictures.vectors), record, facts)


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
