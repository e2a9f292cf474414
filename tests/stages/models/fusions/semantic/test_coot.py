"""docs/systems/fusions.md#coot: un-normalised scores over all looks so far, and none at all is `vse`."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.fusions.semantic.cim import IntraAttention
from stages.models.fusions.semantic.coot import Iterations
from stages.models.fusions.semantic.rows import CootOptions
from tests.stages.models.fusions.semantic.pair_toy import Toy, module, tensor

SMALL = {"width": 8, "words_width": 6, "joint_width": 10, "hidden": (7,)}
COOT = {**SMALL, "heads": 2, "score_width": 4}


def iterations(count: int = 3) -> Iterations:
    torch.manual_seed(3)
    return Iterations(IntraAttention(5, 3, 8, 2), CootOptions(**COOT, iterations=count))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_each_look_so_far_has_a_score_between_0_and_1(looks: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    joint, seen = torch.randn(5, 10, generator=generator) * 3, torch.randn(5, looks, 8, generator=generator) * 3
    scores = iterations().scores(joint, seen)
    assert scores.shape == (5, looks)
    assert (scores > 0).all()
    assert (scores < 1).all()


def test_scores_are_the_sigmoid_of_a_scaled_product_and_not_shares() -> None:
    net, joint, seen = iterations(), torch.randn(5, 10), torch.randn(5, 3, 8)
    product = (net.target(joint)[:, None] * net.source(seen)).sum(dim=2) / 4**0.5
    torch.testing.assert_close(net.scores(joint, seen), product.sigmoid())
    torch.testing.assert_close(net.enhanced(joint, seen), (product.sigmoid()[:, :, None] * seen).sum(dim=1))


def test_without_w_t_every_score_is_one_half() -> None:
    net, joint, seen = iterations(), torch.randn(5, 10), torch.randn(5, 3, 8)
    torch.nn.init.zeros_(net.target.weight)
    assert (net.scores(joint, seen) == 0.5).all()
    torch.testing.assert_close(net.enhanced(joint, seen), seen.sum(dim=1) / 2)


def test_no_iteration_reduces_to_vse() -> None:
    toy = Toy("multiclass", 9)
    still: Any = module("coot", toy, "map", **COOT, iterations=0).eval()
    plain: Any = module("vse", toy, "map", **SMALL).eval()
    assert still.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(still.state_dict())
    x = tensor(toy.joined("map"))
    torch.testing.assert_close(still(x), plain(x), atol=0, rtol=0)
    torch.testing.assert_close(still.fuse(x), plain.fuse(x), atol=0, rtol=0)


def test_every_iteration_looks_with_the_last_joint_vector_and_scores_one_look_more() -> None:
    toy = Toy("multiclass", 9)
    net: Any = module("coot", toy, "map", **COOT, iterations=3).eval()
    asked: list[torch.Tensor] = []
    looks: list[tuple[int, ...]] = []
    net.iterations.attend.register_forward_hook(lambda _, given, __: asked.append(given[3]))
    net.iterations.source.register_forward_hook(lambda _, given, __: looks.append(tuple(given[0].shape)))
    x = tensor(toy.joined("map"))
    last = net.fuse(x)
    assert looks == [(9, 1, 8), (9, 2, 8), (9, 3, 8)]
    first = net.vse(*net.read(x)).joint
    torch.testing.assert_close(asked[0], net.iterations.condition(first))
    assert not torch.allclose(asked[1], asked[0])
    third = asked[2]
    net.iterations.count = 2
    torch.testing.assert_close(third, net.iterations.condition(net.fuse(x)))
    torch.testing.assert_close(last.mean(dim=1), torch.zeros(9), atol=1e-5, rtol=0)  # LayerNorm as drawn
