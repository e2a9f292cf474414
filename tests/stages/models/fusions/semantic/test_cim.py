"""docs/systems/fusions.md#cim: shares that sum to 1, deafness to padding, and who gates the regions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from stages.models.features.layout import Input
from stages.models.fusions.semantic.cim import IntraAttention, region_gates, waves
from stages.models.fusions.semantic.states import States, regions_of, split_heads
from tests.stages.models.fusions.semantic.pair_toy import Toy, module, tensor

WIDTH, HEADS, SEEN, READ = 8, 2, 5, 3


def attend() -> IntraAttention:
    torch.manual_seed(2)
    return IntraAttention(SEEN, READ, WIDTH, HEADS)


def states(lengths: list[int], longest: int, width: int, padding: float = 0.0) -> States:
    """Drawn states whose values do not depend on how many places there are."""
    values = torch.randn(len(lengths), 9, width, generator=torch.Generator().manual_seed(width))[:, :longest]
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return States(values.masked_fill(~mask[:, :, None], padding), mask)


def places(count: int) -> Tensor:
    return torch.stack([torch.arange(count) // 2, torch.arange(count) % 2], dim=1)


def test_attention_and_gates_sum_to_1_and_padding_weighs_exactly_0() -> None:
    regions, words = states([4, 2, 4], 4, SEEN), states([3, 1, 2], 3, READ)
    found = attend()(regions, places(4), words)
    assert found.attention.shape == (3, HEADS, 7, 7)
    torch.testing.assert_close(found.attention.sum(dim=3), torch.ones(3, HEADS, 7))
    torch.testing.assert_close(found.gates.sum(dim=1), torch.ones(3))
    padded = ~torch.cat([regions.mask, words.mask], dim=1)
    assert (found.attention.transpose(1, 3)[padded] == 0).all()
    assert (found.gates[~regions.mask] == 0).all()


def test_padded_words_and_regions_change_nothing_by_value_nor_by_number() -> None:
    net = attend()
    found = net(states([4, 2], 4, SEEN), places(4), states([3, 1], 3, READ))
    other = net(states([4, 2], 4, SEEN, 1e3), places(4), states([3, 1], 3, READ, -1e3))
    torch.testing.assert_close(other.summary, found.summary, atol=0, rtol=0)
    more = net(states([4, 2], 6, SEEN, 7.0), places(6), states([3, 1], 8, READ, 7.0))
    torch.testing.assert_close(more.summary, found.summary)
    torch.testing.assert_close(more.gates[:, :4], found.gates)


def test_a_single_region_weighs_1() -> None:
    found = attend()(states([1, 1], 1, SEEN), places(1), states([2, 3], 3, READ))
    assert found.gates.tolist() == [[1], [1]]


def test_without_a_valid_word_the_regions_weigh_the_same() -> None:
    found = attend()(states([4, 2], 4, SEEN), places(4), states([0, 0], 2, READ))
    torch.testing.assert_close(found.gates, torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0]]))


def test_gates_are_a_softmax_of_what_valid_words_pay_on_average() -> None:
    paid = torch.tensor([[[[0.2, 0.6], [0.9, 0.0]], [[0.4, 0.0], [0.9, 0.0]]]])  # 2 heads, 2 words, 2 regions
    gates = region_gates(paid, torch.tensor([[True, True]]), torch.tensor([[True, False]]))
    torch.testing.assert_close(gates, torch.tensor([[0.3, 0.3]]).softmax(dim=1))
    both = region_gates(paid, torch.tensor([[True, True]]), torch.tensor([[True, True]]))
    torch.testing.assert_close(both, torch.tensor([[0.6, 0.15]]).softmax(dim=1))


def test_attention_is_scaled_by_the_width_of_a_head_and_the_regions_are_normalised_behind_their_residual() -> None:
    net, regions, words = attend(), states([2], 2, SEEN), states([1], 1, READ)
    found = net(regions, places(2), words)
    x = torch.cat([net.enter_regions(regions, places(2)), net.enter_words(words)], dim=1)
    query, key, value = (split_heads(layer(x), HEADS) for layer in (net.query, net.key, net.value))
    shares = (query @ key.transpose(2, 3) / (WIDTH / HEADS) ** 0.5).softmax(dim=3)
    torch.testing.assert_close(found.attention, shares)
    rows = net.norm(x + net.out((shares @ value).transpose(1, 2).reshape(1, 3, WIDTH)))
    torch.testing.assert_close(found.summary, (found.gates[:, :, None] * rows[:, :2]).sum(dim=1))


def test_places_and_kinds_are_told_apart() -> None:
    net, words = attend(), states([1], 1, READ)
    same = States(torch.ones(1, 2, SEEN), torch.ones(1, 2, dtype=torch.bool))
    seen = net.enter_regions(same, places(2))
    assert not torch.allclose(seen[0, 0], seen[0, 1])
    torch.testing.assert_close(net.enter_regions(same, places(2), torch.full((1, WIDTH), 3.0)), seen + 3)
    torch.testing.assert_close(
        net.enter_words(words)[0, 0], net.read(words.values)[0, 0] + waves(torch.tensor([0]), WIDTH)[0] + net.kinds[1]
    )


def test_waves_are_sines_and_cosines_of_slowing_turns() -> None:
    found = waves(torch.tensor([0, 3]), 4)
    expected = torch.tensor([[0, 1, 0, 1], [0.14112, -0.98999, 0.029996, 0.99955]])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert waves(torch.tensor([1]), 5).shape == (1, 5)
    assert waves(torch.tensor([1]), 0).shape == (1, 0)


@pytest.mark.parametrize("image", ["map", "regions"])
def test_the_summary_behind_two_layers_stands_for_the_picture(image: str) -> None:
    toy = Toy("multiclass", 6)
    net: Any = module("cim", toy, image, width=8, words_width=6, joint_width=10, hidden=(7,), heads=2).eval()
    words, picture = net.read(tensor(toy.joined(image)))
    pairs = net.vse(words, picture)
    assert [type(layer).__name__ for layer in net.vse.visual.layers] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert pairs.visual.shape == (6, 8)
    torch.testing.assert_close(pairs.visual, net.vse.see(words, picture))


def test_a_flat_map_and_the_same_cells_listed_are_one_picture() -> None:
    cells, here, words = torch.randn(2, 4, SEEN), torch.ones(2), states([2, 3], 3, READ)
    flat = Input(torch.zeros(2, SEEN), {"map": cells.transpose(1, 2)[:, :, None]}, here)
    listed = Input(torch.zeros(2, SEEN), {"regions": cells, "region_mask": torch.ones(2, 4)}, here)
    first, second = (attend()(*regions_of(part), words).summary for part in (flat, listed))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
