"""Fits `bert-pair-ft`: a BERT-like encoder that reads a text behind a picture; docs/systems/encoders.md#bert-pair-ft.

Two trainings on the same train rows. The first is that of a visual-semantic base, of which the projection of pictures
stays. In the second that projection takes the place of the first token, and the network learns the labels of a pair,
and whether its text and its picture belong together.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.finetune.network import Classifier
from stages.fit.finetune.semantic import SemanticBase, fit_base, text_of
from stages.fit.finetune.texts import base_encoder
from stages.fit.options import PairOptions
from stages.models.encoders.pair.finetuned import pair_module, write_visual
from stages.models.encoders.protocol import Rows
from stages.models.encoders.text.finetuned import BASE, HEAD
from stages.models.encoders.text.tokens import padded
from stages.models.encoders.text.transformer import TransformerText
from store.errors import ItemError
from store.files.outputs import write_json
from store.items.records import Task


def fit_pair(context: FitContext, folder: Path) -> Fitted:
    """Train the base, fine-tune the transformer, and write both with the record of the image encoder between them.

    Raises
    ------
    InputError
        When a model cannot be loaded, or not one pair be read.
    RunError
        When a training diverged.
    """
    options: PairOptions = context.options
    encoder = base_encoder("bert", options, context.seed)
    base = fit_base(context)
    module = pair_module(encoder.load_module(), _first_weights(encoder.dim, options.vse_width, context.seed))
    pairs = _Pairs(context, encoder, base)
    body = Body(module, encoder.dim, pairs.prepare, pairs.collate, classifier=PairClassifier)
    network, fitted = train_classifier(replace(context, rows=replace(context.rows, load=pairs.load)), body)
    module.body.backbone.save_pretrained(folder)
    write_visual(folder, base.projection, module.visual.weight.detach().numpy())
    save_file({name: value.detach().contiguous() for name, value in network.head.state_dict().items()}, folder / HEAD)
    for path in encoder.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    write_json(folder / BASE, {"encoder": "bert", "identity": encoder.identity(), **base.record})
    return replace(fitted, card=fitted.card | base.card)


def _first_weights(width: int, visual: int, seed: int) -> Rows:
    """Draw W_b [width, visual]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(visual, width, bias=False).weight.detach().numpy()


class Pair(NamedTuple):
    """One row as the training sees it.

    Attributes
    ----------
    ids : list of int
        Tokens of its text.
    seen : ndarray of float32, [d]
        Its picture, projected.
    picture, text : int
        The same number for the same picture, and for texts that are the same tokens.
    draw : float
        In [0, 1): decides which other text of the batch is set beside its picture.
    """

    ids: list[int]
    seen: Rows
    picture: int
    text: int
    draw: float = 0.5


class _Pairs:
    """The rows, tokenised and seen; whatever is asked for follows from the row and the seed."""

    def __init__(self, context: FitContext, encoder: TransformerText, base: SemanticBase) -> None:
        load = text_of(context.rows).load
        self._ids = encoder.prepare([load(row) for row in range(len(context.rows))])
        self._texts = _numbered(self._ids)
        self._pictures, self._seen, self._seed = base.pictures, base.seen, context.seed
        self._true = set(zip(base.pictures.of.tolist(), self._texts, strict=True))

    def load(self, row: int) -> Pair:
        """Return a row; raises `ItemError` when its picture could not be read."""
        picture = int(self._pictures.of[row])
        if picture in self._pictures.failed:
            raise ItemError(self._pictures.failed[picture])
        draw = float(np.random.default_rng([self._seed, row]).random())
        return Pair(self._ids[row], self._seen[picture], picture, self._texts[row], draw)

    def prepare(self, pair: Pair, rng: np.random.Generator | None) -> Pair:
        """Draw anew in training; the rows set aside keep their draw, so that their losses compare."""
        return pair if rng is None else pair._replace(draw=float(rng.random()))

    def collate(self, pairs: Sequence[Pair]) -> tuple[NDArray[Any], ...]:
        """Return ids and mask [m, T] and pictures [m, d]: n true pairs, and behind them those put together wrongly."""
        wrong = mismatched(pairs, self._true)
        ids, mask = padded([*(pair.ids for pair in pairs), *(pairs[other].ids for _, other in wrong)])
        seen = np.stack([*(pair.seen for pair in pairs), *(pairs[at].seen for at, _ in wrong)])
        return ids, mask, seen


def mismatched(pairs: Sequence[Pair], true: Set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Set another text of the batch beside each picture.

    Parameters
    ----------
    pairs : sequence of Pair
    true : set of (picture, text)
        Pairs that belong together, also by other rows: the same picture may have several texts.

    Returns
    -------
    list of (int, int)
        Positions of a picture and of a text that do not belong together; none for a picture that all texts belong to.
    """
    wrong = []
    for at, pair in enumerate(pairs):
        others = [place for place, other in enumerate(pairs) if (pair.picture, other.text) not in true]
        if others:
            wrong.append((at, others[int(pair.draw * len(others))]))
    return wrong


def _numbered(values: Sequence[Sequence[int]]) -> list[int]:
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(tuple(value), len(numbers)) for value in values]


class PairClassifier(Classifier):
    """Learns the labels of true pairs, and to tell them from those that were put together wrongly."""

    def __init__(self, body: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__(body, width, classes, dropout)
        self.match = nn.Linear(width, 2)

    @property
    def fresh(self) -> list[nn.Parameter]:
        """Both classifiers, and the projection of pictures to the width of the words."""
        return [*super().fresh, *self.match.parameters(), self.body.get_parameter("visual.weight")]

    def forward(self, *inputs: Tensor) -> Any:
        """Return the logits [m, K] of the labels and [m, 2] of wrong and true pairs."""
        vectors = self.dropout(self.body(*inputs)[0])
        return self.head(vectors), self.match(vectors)

    def logits(self, outputs: Any) -> Tensor:
        """Return the logits of the labels, of the wrong pairs too."""
        return outputs[0]  # type: ignore[no-any-return]

    def loss(self, outputs: Any, targets: Tensor, task: Task) -> Tensor:
        """Return the loss of the labels of the n true pairs, and of telling true from wrong ones."""
        _, matches = outputs
        true = (torch.arange(len(matches), device=matches.device) < len(targets)).long()
        return super().loss(outputs, targets, task) + nn.functional.cross_entropy(matches, true)
