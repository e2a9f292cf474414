"""docs/systems/fusions.md#attention: its worked example, its symmetries, and blindness under the mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stages.models.fusions.attention import AttentionFusion, attention_weights

EXAMPLE = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])  # H of one row, d = 2
BOTH = torch.ones(1, 2)


def test_the_worked_example() -> None:
    weights = attention_weights(EXAMPLE, EXAMPLE, BOTH)
    torch.testing.assert_close(weights, torch.tensor([[0.637216, 0.362784]]), atol=1e-6, rtol=0)
    fused = (weights[:, :, None] * EXAMPLE).sum(dim=1)
    torch.testing.assert_close(fused, torch.tensor([[1.274431, 0.362784]]), atol=1e-6, rtol=0)


def test_equal_rows_weigh_one_half_each_and_fuse_to_themselves() -> None:
    rows = torch.tensor([[[0.3, 1.7, 0.0], [0.3, 1.7, 0.0]]])
    weights = attention_weights(rows, rows, BOTH)
    torch.testing.assert_close(weights, torch.full((1, 2), 0.5))
    torch.testing.assert_close((weights[:, :, None] * rows).sum(dim=1), rows[:, 0])


def test_swapping_the_modalities_swaps_the_weights() -> None:
    states = torch.rand(8, 2, 5)
    swapped = states.flip(1)
    weights = attention_weights(states, states, torch.ones(8, 2))
    torch.testing.assert_close(attention_weights(swapped, swapped, torch.ones(8, 2)), weights.flip(1))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_weights_are_shares_of_the_present_modalities(modalities: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(7, modalities, width, generator=generator) * 5
    present = (torch.rand(7, modalities, generator=generator) < 0.6).float()
    present[:, 0] = 1
    weights = attention_weights(states, states, present)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(7))
    assert (weights >= 0).all()
    assert not weights[present == 0].any()


@pytest.mark.parametrize("there", [0, 1])
def test_a_lone_modality_weighs_1_whatever_stands_under_the_mask(there: int) -> None:
    present = torch.zeros(1, 2)
    present[0, there] = 1
    for placeholder in (0.0, 7.0, -1e30):
        states = EXAMPLE.clone()
        states[0, 1 - there] = placeholder
        weights = attention_weights(states, states, present)
        torch.testing.assert_close(weights, present, atol=0, rtol=0)


def test_a_row_without_any_modality_is_read_as_if_it_had_both() -> None:
    weights = attention_weights(EXAMPLE, EXAMPLE, torch.zeros(1, 2))
    torch.testing.assert_close(weights, attention_weights(EXAMPLE, EXAMPLE, BOTH))


def module(*, qk: bool = False) -> AttentionFusion:
    torch.manual_seed(0)
    return AttentionFusion((4, 3), 5, 6, (8, 8, 4), 0.1, qk=qk).eval()


def rows(present: list[float], placeholder: float = 0.0) -> Tensor:
    x = torch.randn(9, 7, generator=torch.Generator().manual_seed(1))
    for block, there in zip((slice(0, 4), slice(4, 7)), present, strict=True):
        if not there:
            x[:, block] = placeholder
    return torch.cat([x, torch.tensor(present).expand(9, 2)], dim=1)


@pytest.mark.parametrize("qk", [False, True])
def test_logits_have_a_column_per_class_and_learn_through_every_parameter(qk: bool) -> None:
    net = module(qk=qk)
    logits = net(rows([1.0, 1.0]))
    assert logits.shape == (9, 5)
    logits.square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in net.parameters())


@pytest.mark.parametrize("qk", [False, True])
@pytest.mark.parametrize("present", [[1.0, 0.0], [0.0, 1.0]])
def test_values_under_the_mask_change_no_logit(qk: bool, present: list[float]) -> None:
    net = module(qk=qk)
    torch.testing.assert_close(net(rows(present, 1e6)), net(rows(present, 0.0)), atol=0, rtol=0)


@pytest.mark.parametrize("present", [[1.0, 0.0], [0.0, 1.0]])
def test_a_lone_modality_is_fused_to_its_own_hidden_vector(present: list[float]) -> None:
    net, x = module(), rows(present)
    fused, weights = net.fuse(x)
    own = present.index(1.0)
    block = x[:, :4] if own == 0 else x[:, 4:7]
    torch.testing.assert_close(fused, net.enter[own](block))
    torch.testing.assert_close(weights, torch.tensor(present).expand(9, 2))


def test_the_fused_vector_is_the_weighted_sum_of_hidden_vectors_of_each_modality() -> None:
    net, x = module(), rows([1.0, 1.0])
    fused, weights = net.fuse(x)
    text, image = net.enter[0](x[:, :4]), net.enter[1](x[:, 4:7])
    torch.testing.assert_close(fused, weights[:, :1] * text + weights[:, 1:] * image)


def test_similarities_between_projections_differ_from_plain_ones() -> None:
    x = rows([1.0, 1.0])
    assert not torch.allclose(module(qk=True).fuse(x)[1], module().fuse(x)[1])


def test_three_modalities_are_welcome() -> None:
    net = AttentionFusion((4, 3, 2), 5, 6, (8,), 0.0, qk=False)
    assert net(torch.cat([torch.randn(2, 9), torch.ones(2, 3)], dim=1)).shape == (2, 5)
