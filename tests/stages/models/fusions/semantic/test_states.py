"""Words and regions of a batch: the valid ones first, cut to the longest, deaf to what stands behind the mask."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.features.layout import Block, Input
from stages.models.fusions.semantic.states import region_width, regions_of, trimmed, word_width, words_of

HERE = torch.ones(2)


def text(mask: list[list[float]], present: torch.Tensor = HERE) -> Input:
    tokens = torch.arange(1.0, 13).reshape(2, 3, 2)
    return Input(torch.full((2, 2), 9.0), {"tokens": tokens, "token_mask": torch.tensor(mask)}, present)


def test_words_are_cut_to_the_longest_text_and_padding_is_zero() -> None:
    words = words_of(text([[1, 1, 0], [1, 0, 0]]))
    assert words.values.tolist() == [[[1, 2], [3, 4]], [[7, 8], [0, 0]]]
    assert words.mask.tolist() == [[True, True], [True, False]]
    assert words.lengths.tolist() == [2, 1]


def test_an_absent_text_has_no_word_and_without_any_word_one_place_stays() -> None:
    words = words_of(text([[1, 1, 1], [0, 0, 0]], torch.tensor([0.0, 1.0])))
    assert words.values.shape == (2, 1, 2)
    assert not words.mask.any()
    assert not words.values.any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_valid_states_keep_their_order_and_whatever_is_not_valid_vanishes(longest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, mask = rng.normal(size=(5, longest, 3)).astype(np.float32), rng.random((5, longest)) < 0.6
    wild = np.where(mask[:, :, None], values, np.nan)
    found = trimmed(torch.from_numpy(wild), torch.from_numpy(mask))
    assert found.mask.shape[1] == max(1, mask.sum(axis=1).max())
    for row in range(5):
        kept = values[row][mask[row]]
        np.testing.assert_array_equal(found.values[row, : len(kept)], kept)
        assert not found.values[row, len(kept) :].any()
        assert found.mask[row].tolist() == [True] * len(kept) + [False] * (found.mask.shape[1] - len(kept))


def test_a_plain_vector_is_read_as_one_word_or_one_region() -> None:
    part = Input(torch.tensor([[1.0, 2], [3, 4]]), {}, torch.tensor([1.0, 0.0]))
    words, (regions, places) = words_of(part), regions_of(part)
    assert words.values.tolist() == [[[1, 2]], [[0, 0]]]
    assert words.mask.tolist() == [[True], [False]]
    assert regions.values.tolist() == words.values.tolist()
    assert regions.mask.tolist() == [[True], [True]]
    assert places.tolist() == [[0, 0]]


def test_the_cells_of_a_map_are_regions_row_by_row() -> None:
    grid = torch.arange(24.0).reshape(1, 4, 2, 3)  # C 4, H 2, W 3
    regions, places = regions_of(Input(torch.zeros(1, 4), {"map": grid}, torch.ones(1)))
    assert regions.values.shape == (1, 6, 4)
    assert places.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    for place, (row, column) in enumerate(places.tolist()):
        assert regions.values[0, place].tolist() == grid[0, :, row, column].tolist()


def test_a_row_without_regions_has_one_of_zeros() -> None:
    listed = {"regions": torch.full((3, 4, 2), 5.0), "region_mask": torch.tensor([[1.0, 1, 0, 0], [0] * 4, [1] * 4])}
    regions, places = regions_of(Input(torch.zeros(3, 2), listed, torch.tensor([1.0, 1.0, 0.0])))
    assert regions.mask.tolist() == [[True, True], [True, False], [True, False]]
    assert regions.values[:, 0].tolist() == [[5, 5], [0, 0], [0, 0]]
    assert places.tolist() == [[0, 0], [0, 1]]


def test_widths_are_those_of_what_is_read() -> None:
    assert word_width(Block(3, {"tokens": (7, 5), "token_mask": (7,)})) == 5
    assert region_width(Block(3, {"map": (5, 7, 8)})) == 5
    assert region_width(Block(3, {"regions": (7, 5), "region_mask": (7,)})) == 5
    assert (word_width(Block(3)), region_width(Block(3))) == (3, 3)
