"""The `vse` fusion: pictures and word sequences in one space, and a classifier; docs/systems/fusions.md#vse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from stages.models.features.layout import FUSED, Block, Input, Layer, as_layout, split_inputs
from stages.models.fusions.semantic.base import VseOptions
from stages.models.fusions.semantic.states import States, word_width, words_of
from stages.models.heads.network import Mlp
from store.items.records import Task

_EPSILON = 1e-8


def cosines(visual: Tensor, semantic: Tensor) -> Tensor:
    """Return the cosines [n, m] of every row [n, d] with every row [m, d]; 0 where a norm is 0."""
    return (_unit(visual) @ _unit(semantic).T).clamp(-1.0, 1.0)


def _unit(vectors: Tensor) -> Tensor:
    """Scale to length 1; a vector of zeros stays, and its gradient is 0 rather than that of a division by epsilon."""
    lengths = vectors.norm(dim=1, keepdim=True)
    return torch.where(lengths > _EPSILON, vectors / lengths.clamp(min=_EPSILON), 0.0)


def label_matches(targets: Tensor, task: Task) -> Tensor:
    """Tell which pairs of rows count as one, bool [n, n]: those of equal labels, and each row with itself.

    Classes match when they are equal, and label sets when they are the same set [ours]; numbers never do.

    Parameters
    ----------
    targets : Tensor
        multilabel: [n, K] of 0 and 1; multiclass: [n]; regression: [n, 1].
    """
    same = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    if task == "regression":
        return same
    labels = targets.reshape(len(targets), -1)
    return same | (labels[:, None, :] == labels[None, :, :]).all(dim=2)


def cosine_loss(similarity: Tensor, matches: Tensor, paired: Tensor, margin: float) -> Tensor:
    """Return the mean of `1 - cos` over matching pairs plus the mean of `max(0, cos - margin)` over the others.

    Parameters
    ----------
    similarity : Tensor, [n, n]
        Cosine of picture i with text j.
    matches : Tensor of bool, [n, n]
    paired : Tensor of bool, [n]
        Rows that have both a picture and a text; only these form pairs. A set without pairs adds nothing.
    margin : float
    """
    both = paired[:, None] & paired[None, :]
    near = _mean(1 - similarity, matches & both)
    return near + _mean((similarity - margin).clamp(min=0), ~matches & both)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    mean: Tensor = values.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
    return mean


def ranking_loss(similarity: Tensor, paired: Tensor, margin: float, *, hardest: bool) -> Tensor:
    """Return the hinge loss of VSE++, summed over the batch (Faghri et al. 2018, arXiv 1707.05612).

    Every picture's own text should be nearer than any other by the margin, and every text's own picture too.

    Parameters
    ----------
    similarity : Tensor, [n, n]
        Cosine of picture i with text j.
    paired : Tensor of bool, [n]
        Rows that have both a picture and a text; only these form pairs.
    margin : float
    hardest : bool
        Whether only the worst text of each picture, and the worst picture of each text, counts.
    """
    own = similarity.diagonal()
    others = paired[:, None] & paired[None, :] & ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    of_pictures = (margin + similarity - own[:, None]).clamp(min=0).masked_fill(~others, 0.0)
    of_texts = (margin + similarity - own[None, :]).clamp(min=0).masked_fill(~others, 0.0)
    if hardest:
        return of_pictures.amax(dim=1).sum() + of_texts.amax(dim=0).sum()
    return of_pictures.sum() + of_texts.sum()


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

    def see(self, words: States, image: Input) -> Tensor:  # noqa: ARG002 (for those that look with the words in mind)
        """Return e_v [n, d]."""
        visual: Tensor = self.visual(image.vector)
        return visual

    def forward(self, words: States, image: Input) -> Embedded:
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

    def read(self, x: Tensor) -> tuple[States, Input]:
        """Return the words and the picture of joined features."""
        text, image = split_inputs(x, self.layout)
        return words_of(text), image

    def fused(self, pairs: Embedded, words: States, image: Input) -> Tensor:  # noqa: ARG002 (for those that look again)
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
