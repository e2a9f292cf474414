"""The `vse` fusion: pictures and word sequences in one space, and a classifier; docs/systems/fusions.md#vse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from stages.contract import Task
from stages.fusions.layers import FUSED, Layer
from stages.fusions.layout import Block, Parts, as_layout, split_parts
from stages.fusions.pair_loss import cosine_loss, cosines, label_matches, ranking_loss
from stages.fusions.states import States, word_width, words_of
from stages.fusions.vse_base import VseOptions
from stages.heads.network import Mlp

_LABEL_LOSSES: Mapping[Task, Callable[[Tensor, Tensor], Tensor]] = {
    "multiclass": functional.cross_entropy,
    "multilabel": functional.binary_cross_entropy_with_logits,
    "regression": functional.mse_loss,
}


class Embedded(NamedTuple):
    """A batch of pairs in the common space.

    Attributes
    ----------
    joint : Tensor, [n, joint width]
        m, made of both.
    visual, semantic : Tensor, [n, d]
        e_v and e_s.
    state : Tensor, [n, words width]
        The LSTM's state behind the last word; zeros for a text without words.
    paired : Tensor of bool, [n]
        Rows that have a picture and at least one word.
    """

    joint: Tensor
    visual: Tensor
    semantic: Tensor
    state: Tensor
    paired: Tensor


class LastState(nn.Module):
    """An LSTM over words [n, T, D] -> its state behind the last valid one [n, width]; zeros without words."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, batch_first=True)

    def forward(self, words: States) -> Tensor:
        """Return the states; a packed sequence has no length 0, so an empty text goes in as one word of zeros."""
        lengths = words.lengths
        packed = pack_padded_sequence(words.values, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        last: Tensor = self.lstm(packed)[1][0][0]
        return last.masked_fill(lengths[:, None] == 0, 0.0)


class VisualSemantic(nn.Module):
    """What embeds a text and a picture: the part of `vse` that others build on.

    Parameters
    ----------
    text : Block
        Read by its tokens.
    visual : torch module
        What gives e_v, in `vse` of the picture's vector: W_v and b_v.
    options : VseOptions
    """

    def __init__(self, text: Block, visual: nn.Module, options: VseOptions) -> None:
        super().__init__()
        self.visual = visual
        self.words = LastState(word_width(text), options.words_width)
        self.semantic = nn.Linear(options.words_width, options.width)
        self.joint = nn.Linear(2 * options.width, options.joint_width)

    def see(self, words: States, image: Parts) -> Tensor:  # noqa: ARG002 (for those that look with the words in mind)
        """Return e_v [n, d]."""
        visual: Tensor = self.visual(image.vector)
        return visual

    def forward(self, words: States, image: Parts) -> Embedded:
        """Return the pairs in the common space."""
        state = self.words(words)
        visual, semantic = self.see(words, image), self.semantic(state)
        joint = self.joint(torch.cat([visual, semantic], dim=1)).relu()
        return Embedded(joint, visual, semantic, state, (words.lengths > 0) & (image.present > 0))


class VseFusion(nn.Module):
    """Joined features [n, columns] -> logits [n, K].

    Parameters
    ----------
    layout : Layout or sequence
        Two inputs: the text, read by its tokens, and the picture.
    outputs : int
        K.
    task : Task
        Decides which pairs match, and the loss of the auxiliary text classifier.
    **options
        The fields of `VseOptions` that `NetworkOptions` lacks.
    """

    options: VseOptions
    options_type: type[VseOptions] = VseOptions

    def __init__(self, layout: Sequence[Any], outputs: int, task: Task, **options: Any) -> None:
        super().__init__()
        self.layout, self.task, self.options = as_layout(layout), task, self.options_type(**options)
        text, image = self.layout
        self.vse = self.body(text, image)
        self.head = Mlp(self.options.joint_width, outputs, self.options.hidden, self.options.dropout)
        self.aux = nn.Linear(self.options.words_width, outputs) if self.options.aux else None

    def body(self, text: Block, image: Block) -> VisualSemantic:
        """Return what embeds the pairs."""
        return VisualSemantic(text, nn.Linear(image.width, self.options.width), self.options)

    def read(self, x: Tensor) -> tuple[States, Parts]:
        """Return the words and the picture of joined features."""
        text, image = split_parts(x, self.layout)
        return words_of(text), image

    def fused(self, pairs: Embedded, words: States, image: Parts) -> Tensor:  # noqa: ARG002 (for those that look again)
        """Return the vectors [n, joint width] before the classifier."""
        return pairs.joint

    def fuse(self, x: Tensor) -> Tensor:
        """Return the fused vectors [n, joint width]."""
        words, image = self.read(x)
        return self.fused(self.vse(words, image), words, image)

    def inner_vectors(self, x: Tensor) -> dict[Layer, Tensor]:
        """Return e_s and e_v [n, d] of the common space, and the fused vectors."""
        words, image = self.read(x)
        pairs = self.vse(words, image)
        tuned = {Layer("tuned", 0): pairs.semantic, Layer("tuned", 1): pairs.visual}
        return {**tuned, FUSED: self.fused(pairs, words, image)}

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Embedded]:
        """Return the logits [n, K]; in training with what `auxiliary` takes."""
        words, image = self.read(x)
        pairs = self.vse(words, image)
        logits: Tensor = self.head(self.fused(pairs, words, image))
        return (logits, pairs) if self.training else logits

    def auxiliary(self, parts: Sequence[Embedded], targets: Tensor) -> Tensor:
        """Return the weighted loss of the pairs, and that of the auxiliary text classifier."""
        (pairs,) = parts
        loss = self.options.weight * self._pair_loss(pairs, targets)
        if self.aux is None:
            return loss
        return loss + self.options.aux_weight * _LABEL_LOSSES[self.task](self.aux(pairs.state), targets)

    def _pair_loss(self, pairs: Embedded, targets: Tensor) -> Tensor:
        similarity, margin = cosines(pairs.visual, pairs.semantic), self.options.margin
        if self.options.loss == "vsepp":
            return ranking_loss(similarity, pairs.paired, margin, hardest=self.options.hardest)
        return cosine_loss(similarity, label_matches(targets, self.task), pairs.paired, margin)
