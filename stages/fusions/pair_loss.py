"""What brings pictures and texts of one item together, and others apart; docs/systems/fusions.md#pair-losses."""

from __future__ import annotations

import torch
from torch import Tensor

from stages.contract import Task

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
