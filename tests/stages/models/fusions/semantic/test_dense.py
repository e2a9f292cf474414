"""The dense projection of docs/systems/fusions.md#dense: a mean over words that has no order and counts no padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stages.models.fusions.semantic.pooled import MeanPool
from stages.models.fusions.semantic.states import States
from stages.models.heads.network import Mlp
from tests.stages.models.fusions.semantic.pair_toy import Toy, module, tensor

NOTHING = torch.zeros(3, 4)


def words(lengths: list[int], longest: int = 5, padding: float = 0.0) -> States:
    values = torch.randn(len(lengths), 9, 4, generator=torch.Generator().manual_seed(7))[:, :longest]
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return States(values.masked_fill(~mask[:, :, None], padding), mask)


def pool() -> MeanPool:
    torch.manual_seed(8)
    return MeanPool(Mlp(4, 4, (6,), 0.0))


def test_the_order_of_words_does_not_matter() -> None:
    given = words([5, 5, 5])
    shuffled = States(given.values[:, [3, 0, 4, 2, 1]], given.mask)
    torch.testing.assert_close(pool()(shuffled, NOTHING), pool()(given, NOTHING))


def test_with_g_the_identity_s_is_the_mean_of_the_valid_words() -> None:
    given = words([5, 2, 1], padding=99.0)
    found = MeanPool(nn.Identity())(given, NOTHING)
    expected = torch.stack([given.values[row, :length].mean(dim=0) for row, length in enumerate((5, 2, 1))])
    torch.testing.assert_close(found, expected)


def test_one_word_gives_g_of_it() -> None:
    net, given = pool(), words([1, 1, 1])
    torch.testing.assert_close(net(given, NOTHING), net.project(given.values[:, 0]))


def test_g_is_two_layers_with_relu_between() -> None:
    net, given = pool(), words([1, 1, 1])
    first, second = net.project.layers[0], net.project.layers[3]
    expected = second(first(given.values[:, 0]).clamp(min=0))
    torch.testing.assert_close(net(given, NOTHING), expected)


def test_without_words_s_is_zero() -> None:
    found = pool()(words([0, 3, 0]), NOTHING)
    assert found[[0, 2]].tolist() == [[0] * 4] * 2
    assert found[1].abs().sum() > 0


def test_padding_changes_nothing_by_value_nor_by_number() -> None:
    expected = pool()(words([3, 1, 0]), NOTHING)
    torch.testing.assert_close(pool()(words([3, 1, 0], padding=1e3), NOTHING), expected, atol=0, rtol=0)
    torch.testing.assert_close(pool()(words([3, 1, 0], longest=9, padding=7.0), NOTHING), expected)


def test_the_picture_stands_beside_the_mean() -> None:
    toy = Toy("multiclass", 6)
    net: Any = module("dense", toy, "vector", width=8, hidden=(7,), words_width=5).eval()
    x = tensor(toy.joined("vector"))
    fused = net.fuse(x)
    assert fused.shape == (6, 16)
    torch.testing.assert_close(fused[:, 8:], net.visual(x[:, -7:-2]))
    torch.testing.assert_close(net(x), net.head(fused))
    assert [tuple(layer.weight.shape) for layer in net.pool.project.layers if hasattr(layer, "weight")] == [
        (5, 6),
        (8, 5),
    ]
