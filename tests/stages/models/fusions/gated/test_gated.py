"""docs/systems/fusions.md#gated: what gates can and cannot do to a picture, by hand-set weights and on drawn rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stages.models.fusions.gated.gated import Gate, Gated2dFusion, GatedFusion, MapGate
from tests.stages.models.fusions.gated.sentences import IMAGE_WIDTH, REGIONS, TEXT_WIDTH, sentences

D_X, D_T = 5, 4
SHAPES = {"gated": (7, D_X), "short": (7, D_X), "gated2d": (7, D_X, 3, 2), "boxes": (7, D_X, 1, 3)}
EVERY = pytest.mark.parametrize("kind", SHAPES)


class Case:
    """A gate in eval mode, with what it reads."""

    def __init__(self, kind: str, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.flat = len(SHAPES[kind]) == 2
        self.gate = Gate(D_X, D_T, hidden=kind != "short") if self.flat else MapGate(D_X, D_T)
        self.gate.eval()
        with torch.no_grad():
            self.gate.omega.fill_(1.7)
        self.image, self.text = self.draw(*SHAPES[kind]), self.draw(7, D_T)

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator) * 3

    def __call__(self, image: Tensor, text: Tensor) -> Tensor:
        extra = () if self.flat else (torch.ones(len(image), 1, *image.shape[2:]),)
        gated: Tensor = self.gate(image, text, *extra)
        return gated

    @property
    def ceiling(self) -> Tensor:
        return self.gate.omega * self.image


@EVERY
@pytest.mark.parametrize(("bias", "share"), [(50.0, 1.0), (-50.0, 0.0)])
@torch.no_grad()
def test_a_gate_that_ignores_its_inputs_is_open_or_shut_by_its_bias(kind: str, bias: float, share: float) -> None:
    case = Case(kind)
    case.gate.second.weight.zero_()
    case.gate.second.bias.fill_(bias)
    torch.testing.assert_close(case(case.image, case.text), share * case.ceiling, atol=1e-6, rtol=0)


@EVERY
@torch.no_grad()
def test_without_a_bias_it_lets_exactly_half_pass(kind: str) -> None:
    case = Case(kind)
    case.gate.second.weight.zero_()
    case.gate.second.bias.zero_()
    assert torch.equal(case(case.image, case.text), 0.5 * case.ceiling)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 2**31 - 1))
def test_a_gated_feature_keeps_shape_and_sign_and_never_grows(kind: str, seed: int) -> None:
    case = Case(kind, seed)
    gated = case(case.image, case.text)
    assert gated.shape == case.image.shape
    assert (gated.abs() <= case.ceiling.abs()).all()
    assert torch.equal(gated.sign(), case.ceiling.sign())


@EVERY
@torch.no_grad()
def test_without_the_weights_that_read_the_text_the_text_is_not_read(kind: str) -> None:
    case = Case(kind)
    other = case.draw(7, D_T)
    assert not torch.allclose(case(case.image, case.text), case(case.image, other))
    first = case.gate.second if kind == "short" else case.gate.first
    first.weight[:, D_X:] = 0
    assert torch.equal(case(case.image, case.text), case(case.image, other))


@EVERY
def test_rows_do_not_influence_each_other_once_it_is_trained(kind: str) -> None:
    case = Case(kind)
    case.gate.train()
    for _ in range(3):  # other statistics than the fresh ones
        case(case.image, case.text)
    case.gate.eval()
    together = case(case.image, case.text)
    alone = torch.cat([case(case.image[row : row + 1], case.text[row : row + 1]) for row in range(7)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)


@EVERY
def test_omega_starts_at_1_and_every_weight_learns(kind: str) -> None:
    case = Case(kind)
    fresh = Gate(2, 2) if case.flat else MapGate(2, 2)
    assert fresh.omega.item() == 1.0
    assert fresh.omega.requires_grad
    case.gate.train()
    case(case.image, case.text).square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in case.gate.parameters())


def test_the_layers_are_those_of_the_equations() -> None:
    gate, spatial, short = Gate(D_X, D_T), MapGate(D_X, D_T), Gate(D_X, D_T, hidden=False)
    assert (gate.first.weight.shape, gate.second.weight.shape) == ((9, 9), (5, 9))
    assert (spatial.first.weight.shape, spatial.second.weight.shape) == ((9, 9, 3, 3), (5, 9, 3, 3))
    assert (gate.norm.num_features, spatial.norm.num_features) == (9, 9)
    assert isinstance(short.first, nn.Identity)
    assert short.second.weight.shape == (5, 9)


@torch.no_grad()
def test_the_vector_gate_by_hand() -> None:
    case = Case("gated")
    gate, both = case.gate, torch.cat([case.image, case.text], dim=1)
    hidden = ((both / (1 + gate.norm.eps) ** 0.5) @ gate.first.weight.T + gate.first.bias).clamp(min=0)
    expected = 1.7 / (1 + torch.exp(-(hidden @ gate.second.weight.T + gate.second.bias))) * case.image
    torch.testing.assert_close(case(case.image, case.text), expected)


@torch.no_grad()
def test_on_a_single_cell_the_spatial_gate_is_the_vector_gate_of_its_middle_weights() -> None:
    case = Case("gated")
    spatial = MapGate(D_X, D_T).eval()
    for name in ("first", "second"):
        layer = getattr(spatial, name)
        layer.weight.zero_()
        layer.weight[:, :, 1, 1] = getattr(case.gate, name).weight
        layer.bias.copy_(getattr(case.gate, name).bias)
    spatial.omega.copy_(case.gate.omega)
    found = spatial(case.image[:, :, None, None], case.text, torch.ones(7, 1, 1, 1))
    torch.testing.assert_close(found[:, :, 0, 0], case(case.image, case.text))


@torch.no_grad()
def test_cells_that_are_not_there_are_the_edge_of_the_picture() -> None:
    gate, generator = MapGate(D_X, D_T).eval(), torch.Generator().manual_seed(0)
    gate.norm.bias.fill_(0.3)  # what an absent cell would otherwise carry
    image, text = torch.randn(2, D_X, 1, 3, generator=generator), torch.randn(2, D_T, generator=generator)
    padded = torch.cat([image, torch.zeros(2, D_X, 1, 2)], dim=3)
    mask = (torch.arange(5) < 3).float().expand(2, 1, 1, 5)
    found, expected = gate(padded, text, mask), gate(image, text, torch.ones(2, 1, 1, 3))
    torch.testing.assert_close(found[..., :3], expected)
    assert not found[..., 3:].any()


def test_gated_gives_a_vector_as_wide_as_the_pictures() -> None:
    made = sentences(cells="map")
    plain = np.concatenate([made.text["vectors"], made.image["vectors"], np.ones((60, 2))], axis=1).astype(np.float32)
    z = GatedFusion((TEXT_WIDTH, IMAGE_WIDTH), train="none").fit_transform(plain)
    assert z.shape == (60, IMAGE_WIDTH)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(np.sign(z), np.sign(plain[:, TEXT_WIDTH:-2]))


@pytest.mark.parametrize("cells", ["regions", "map"])
def test_gated2d_gives_the_mean_of_the_gated_cells(cells: str) -> None:
    made = sentences(cells=cells)
    fusion = Gated2dFusion(made.layout, train="none").fit(made.joined())
    z = fusion.transform(made.joined())
    assert z.shape == (60, IMAGE_WIDTH)
    gate: Any = fusion.module_.gate
    grid = made.image["regions"].transpose(0, 2, 1)[:, :, None] if cells == "regions" else made.image["map"]
    assert grid.shape == (60, IMAGE_WIDTH, 1, REGIONS)
    tensors = [torch.from_numpy(each.astype(np.float32)) for each in (grid, made.text["vectors"])]
    with torch.no_grad():
        gated = gate(*tensors, torch.ones(60, 1, 1, REGIONS))
    np.testing.assert_allclose(z, gated.mean(dim=(2, 3)), atol=1e-6)


def test_regions_in_a_row_and_the_same_map_are_fused_alike() -> None:
    found = []
    for cells in ("regions", "map"):
        made = sentences(cells=cells)
        found.append(Gated2dFusion(made.layout, train="none").fit_transform(made.joined()))
    np.testing.assert_array_equal(*found)
