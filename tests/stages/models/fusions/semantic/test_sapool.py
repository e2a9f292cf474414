"""docs/systems/fusions.md#sapool in its test form, one head without feed-forward, and in its full form."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stages.models.fusions.semantic.pooled import AttentionPool
from stages.models.fusions.semantic.states import States, trimmed
from tests.stages.models.fusions.semantic.pair_toy import Toy, module, tensor

FORMS = pytest.mark.parametrize(("heads", "feed_forward"), [(1, 0), (4, 0), (1, 4), (4, 4)])


def pool(heads: int = 1, feed_forward: int = 0) -> AttentionPool:
    torch.manual_seed(4)
    return AttentionPool(3, 8, heads, feed_forward)


def words(lengths: list[int], longest: int = 5, padding: float = 0.0) -> States:
    values = torch.randn(len(lengths), 9, 3, generator=torch.Generator().manual_seed(5))[:, :longest]
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return States(values.masked_fill(~mask[:, :, None], padding), mask)


IMAGES = torch.randn(3, 8, generator=torch.Generator().manual_seed(6))


@FORMS
def test_weights_sum_to_1_over_the_valid_words(heads: int, feed_forward: int) -> None:
    given = words([5, 1, 3])
    weights = pool(heads, feed_forward).weights(given, IMAGES)
    assert weights.shape == (3, heads, 5)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, heads))
    assert (weights.transpose(1, 2)[~given.mask] == 0).all()


def test_the_test_form_is_the_plain_formula() -> None:
    net, given = pool(), words([5, 5, 5])
    scores = (net.query(IMAGES)[:, None] * net.key(given.values)).sum(dim=2) / 8**0.5
    expected = (scores.softmax(dim=1)[:, :, None] * net.value(given.values)).sum(dim=1)
    torch.testing.assert_close(net(given, IMAGES), expected)


@pytest.mark.parametrize("heads", [1, 4])
def test_a_single_valid_word_gives_w_x_of_it_whatever_the_picture(heads: int) -> None:
    net, given = pool(heads), words([1, 1, 1])
    for images in (IMAGES, IMAGES.flip(0) * 9):
        torch.testing.assert_close(net(given, images), net.value(given.values[:, 0]))


@FORMS
def test_equal_words_give_the_same_whatever_the_picture(heads: int, feed_forward: int) -> None:
    net = pool(heads, feed_forward)
    same = States(torch.ones(3, 4, 3), torch.ones(3, 4, dtype=torch.bool))
    torch.testing.assert_close(net(same, IMAGES), net(same, IMAGES.flip(0) * 9))


@FORMS
def test_without_words_s_is_zero(heads: int, feed_forward: int) -> None:
    found = pool(heads, feed_forward)(words([0, 2, 0]), IMAGES)
    assert found[[0, 2]].tolist() == [[0] * 8] * 2
    assert found[1].abs().sum() > 0
    assert not pool(heads, feed_forward)(words([0, 0, 0], 1), IMAGES).any()


@FORMS
def test_padding_changes_nothing_by_value_nor_by_number(heads: int, feed_forward: int) -> None:
    net = pool(heads, feed_forward)
    expected = net(words([3, 1, 0]), IMAGES)
    torch.testing.assert_close(net(words([3, 1, 0], padding=1e3), IMAGES), expected, atol=0, rtol=0)
    torch.testing.assert_close(net(words([3, 1, 0], longest=9, padding=7.0), IMAGES), expected)
    torch.testing.assert_close(net(trimmed(*words([3, 1, 0])), IMAGES), expected)


def test_the_feed_forward_is_added_to_what_was_pooled() -> None:
    full, plain, given = pool(4, 4), pool(4), words([5, 1, 3])
    plain.load_state_dict({name: value for name, value in full.state_dict().items() if "further" not in name})
    assert full.further is not None
    assert full.further[1].weight.shape == (32, 8)
    pooled = plain(given, IMAGES)
    torch.testing.assert_close(full(given, IMAGES), pooled + full.further(pooled))


def test_the_picture_stands_beside_what_was_pooled() -> None:
    toy = Toy("multiclass", 6)
    net: Any = module("sapool", toy, "vector", width=8, hidden=(7,), heads=2).eval()
    x = tensor(toy.joined("vector"))
    fused = net.fuse(x)
    assert fused.shape == (6, 16)
    torch.testing.assert_close(fused[:, 8:], net.visual(x[:, -7:-2]))
    torch.testing.assert_close(net(x), net.head(fused))
