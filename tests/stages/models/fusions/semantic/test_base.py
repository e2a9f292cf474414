"""A base trained on arrays: the same network as the fusion's, and only its projection of pictures is handed on."""

from __future__ import annotations

import numpy as np

from stages.models.fusions.semantic.base import PairTable, VseOptions, build_vse, fit_visual_base
from stages.models.heads.model import LabelledRows, Problem
from tests.stages.models.fusions.semantic.pair_toy import SEEN, Toy

SMALL = VseOptions(width=8, words_width=8, joint_width=8, hidden=(8,), epochs=2, batch=32)
PROBLEM = Problem("multiclass", 3, 3)


def table(toy: Toy, rows: slice) -> PairTable:
    return PairTable(toy.tokens[rows], toy.mask[rows], toy.map.mean((2, 3))[rows])


def test_a_row_is_the_words_their_mask_the_picture_and_who_is_there() -> None:
    toy = Toy("multiclass", 6)
    toy.present[2, 0] = 0
    pictures = np.arange(6) != 4
    pairs = PairTable(toy.tokens, toy.mask, toy.map.mean((2, 3)), pictures)
    found = pairs[np.array([2, 4])]
    assert found.dtype == np.float32
    assert found.shape == (2, pairs.shape[1])
    np.testing.assert_array_equal(found[1, : toy.tokens[0].size], toy.tokens[4].ravel())
    np.testing.assert_array_equal(found[:, -2:], [[0, 1], [1, 0]])
    np.testing.assert_array_equal(found[0, -2 - SEEN : -2], toy.map.mean((2, 3))[2])


def test_the_base_is_the_visual_projection_of_a_vse_on_the_same_rows() -> None:
    toy = Toy("multiclass", 90)
    train, none = table(toy, slice(0, 90)), table(toy, slice(0, 0))
    rows, dev = LabelledRows(train, toy.y), LabelledRows(none, toy.y[:0])
    base = fit_visual_base(train.layout, (rows, dev), SMALL, PROBLEM)
    assert (base.weight.shape, base.bias.shape, len(base.history)) == ((8, SEEN), (8,), 2)
    whole = build_vse(train.layout, SMALL, PROBLEM).fit(
        LabelledRows(train[:], toy.y), LabelledRows(train[:0], toy.y[:0])
    )
    np.testing.assert_array_equal(base.weight, whole.fitted_.vse.visual.weight.detach().numpy())
    np.testing.assert_array_equal(base.bias, whole.fitted_.vse.visual.bias.detach().numpy())
