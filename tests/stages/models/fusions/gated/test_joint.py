"""docs/systems/fusions.md#joint: who looks at whom, what padding and order change, and what 0 layers leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from stages.models.features.layout import Block, Input, Layout, split_inputs
from stages.models.fusions.gated.gated import MapGate
from stages.models.fusions.gated.joint import EncoderSizes, JointEncoder, JointFusion, JointNetwork
from stages.models.fusions.gated.rows import JointOptions
from tests.stages.models.fusions.gated.sentences import IMAGE_WIDTH, REGIONS, TEXT_WIDTH, WORDS, sentences

WIDTH = 8
SIZES = EncoderSizes(WIDTH, 2, 2, 16, 0.1)
NONE = EncoderSizes(WIDTH, 0, 2, 16, 0.1)
MADE = sentences()


def encoder(layout: Layout = MADE.layout, sizes: EncoderSizes = SIZES, *, grid: bool = True) -> JointEncoder:
    torch.manual_seed(0)
    made = JointEncoder(layout, sizes, grid=grid).eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "positions" in name or name == "segments":
                value.mul_(50)  # fresh embeddings are too small to matter
    return made


def parts(x: np.ndarray | None = None, layout: Layout = MADE.layout) -> tuple[Input, Input]:
    text, image = split_inputs(torch.from_numpy(MADE.joined() if x is None else x), layout)
    return text, image


@torch.no_grad()
def test_attention_rows_sum_to_1_and_nobody_looks_at_padding() -> None:
    text, image = parts()
    layers = encoder().attention(text, image)
    assert len(layers) == 2
    padding = torch.cat([text.arrays["token_mask"], torch.ones(60, REGIONS)], dim=1) == 0
    assert padding.any()
    for weights in layers:
        assert weights.shape == (60, 2, WORDS + REGIONS, WORDS + REGIONS)
        torch.testing.assert_close(weights.sum(dim=3), torch.ones(60, 2, WORDS + REGIONS))
        assert not weights.transpose(1, 3)[padding].any()


@torch.no_grad()
def test_words_and_regions_see_each_other() -> None:
    module, (text, image) = encoder(), parts()
    other = Input(text.vector, text.arrays | {"tokens": text.arrays["tokens"].flip(0)}, text.present)
    assert not torch.allclose(module(text, image)[1], module(other, image)[1])
    regions = Input(image.vector, image.arrays | {"regions": image.arrays["regions"].flip(0)}, image.present)
    assert not torch.allclose(module(text, image)[0], module(text, regions)[0])


@torch.no_grad()
def test_what_stands_under_the_mask_changes_nothing() -> None:
    module, (text, image) = encoder(), parts()
    tokens = torch.where(text.arrays["token_mask"][:, :, None] > 0, text.arrays["tokens"], 77.0)
    other = Input(text.vector, text.arrays | {"tokens": tokens}, text.present)
    for found, expected in zip(module(other, image), module(text, image), strict=True):
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_more_padding_changes_nothing() -> None:
    module, (text, image) = encoder(), parts()
    longer = (Block(TEXT_WIDTH, {"tokens": (WORDS + 3, TEXT_WIDTH), "token_mask": (WORDS + 3,)}), MADE.layout[1])
    wide = encoder(longer)
    own = wide.state_dict()
    own.update({name: value for name, value in module.state_dict().items() if name != "text_positions"})
    own["text_positions"][:WORDS] = module.text_positions
    wide.load_state_dict(own)
    padded = {
        "tokens": torch.cat([text.arrays["tokens"], torch.full((60, 3, TEXT_WIDTH), 5.0)], dim=1),
        "token_mask": torch.cat([text.arrays["token_mask"], torch.zeros(60, 3)], dim=1),
    }
    found = wide(Input(text.vector, padded, text.present), image)
    for each, expected in zip(found, module(text, image), strict=True):
        torch.testing.assert_close(each, expected)


@torch.no_grad()
def test_regions_that_move_with_their_positions_move_the_cells_alone() -> None:
    module, (text, image) = encoder(), parts()
    text_before, cells_before, _ = module(text, image)
    order = torch.tensor([2, 0, 1])
    moved = Input(image.vector, image.arrays | {"regions": image.arrays["regions"][:, order]}, image.present)
    assert not torch.allclose(module(text, moved)[0], text_before, atol=1e-5)
    module.image_positions.copy_(module.image_positions[order])
    text_after, cells_after, _ = module(text, moved)
    torch.testing.assert_close(text_after, text_before)
    torch.testing.assert_close(cells_after, cells_before[..., order])


@torch.no_grad()
def test_phi_t_is_the_mean_of_the_words_and_phi_x_has_the_shape_of_the_picture() -> None:
    made = sentences(cells="map")
    for each, grid in ((MADE, (1, REGIONS)), (made, (1, REGIONS))):
        text, image = parts(each.joined(), each.layout)
        phi_t, phi_x, mask = encoder(each.layout)(text, image)
        assert phi_t.shape == (60, WIDTH)
        assert phi_x.shape == (60, WIDTH, *grid)
        assert mask.shape == (60, 1, *grid)
    module, (text, image) = encoder(), parts()
    states = module._entered(text, image)[0]
    for layer in module.layers:
        states = layer(states, src_key_padding_mask=torch.cat([text.arrays["token_mask"], torch.ones(60, 3)], 1) == 0)
    first = int(text.arrays["token_mask"][0].sum())
    torch.testing.assert_close(module(text, image)[0][0], states[0, :first].mean(dim=0))


@torch.no_grad()
def test_without_layers_they_are_the_plain_projections() -> None:
    text, image = parts()
    vectors = encoder(sizes=NONE, grid=False)
    phi_t, phi_x, mask = vectors(text, image)
    torch.testing.assert_close(phi_t, text.vector @ vectors.enter_text.weight.T)
    assert phi_x.shape == (60, WIDTH, 1, 1)
    torch.testing.assert_close(phi_x[:, :, 0, 0], image.vector @ vectors.enter_image.weight.T)
    assert mask.min() == 1
    assert [name for name, _ in vectors.named_parameters()] == ["enter_text.weight", "enter_image.weight"]
    cells = encoder(sizes=NONE, grid=True)
    torch.testing.assert_close(
        cells(text, image)[1][:, :, 0, :].transpose(1, 2), image.arrays["regions"] @ cells.enter_image.weight.T
    )


@pytest.mark.parametrize("sizes", [SIZES, NONE])
@torch.no_grad()
def test_a_row_lacks_what_its_inputs_lack_and_the_rest_stays_finite(sizes: EncoderSizes) -> None:
    present = np.ones((60, 2))
    present[0], present[1], present[2] = (0, 1), (1, 0), (0, 0)
    module = encoder(sizes=sizes)
    phi_t, phi_x, _ = module(*parts(MADE.joined(present)))
    for found, absent in ((phi_t, [0, 2]), (phi_x, [1, 2])):
        assert found.isfinite().all()
        assert found.flatten(1).any(dim=1).tolist() == [row not in absent for row in range(60)]
    without = module(*parts(MADE.joined(present)[3:]))
    torch.testing.assert_close(phi_t[3:], without[0])


@torch.no_grad()
def test_a_picture_without_keypoints_is_still_valid() -> None:
    text, image = parts()
    empty = Input(image.vector * 0, image.arrays | {"regions": image.arrays["regions"] * 0}, image.present)
    phi_t, phi_x, _ = encoder()(text, empty)
    assert phi_t.isfinite().all()
    assert phi_x.isfinite().all()
    assert not encoder(sizes=NONE)(text, empty)[1].any()


def fused(output: Any, layers: int = 2) -> Tensor:
    torch.manual_seed(0)
    sizes = EncoderSizes(WIDTH, layers, 2, 16, 0.1)
    network = JointNetwork(MADE.layout, sizes, output).eval()
    with torch.no_grad():
        found: Tensor = network(torch.from_numpy(MADE.joined()))
    return found


@pytest.mark.parametrize("layers", [0, 2])
def test_what_the_fused_vector_is_made_of(layers: int) -> None:
    both, text, image = (fused(output, layers) for output in ("both", "text", "image"))
    assert both.shape == (60, 2 * WIDTH)
    torch.testing.assert_close(both, torch.cat([text, image], dim=1))
    gated, spatial = fused("gated", layers), fused("gated2d", layers)
    assert gated.shape == spatial.shape == image.shape == (60, WIDTH)
    assert (gated.abs() <= image.abs() + 1e-6).all()
    assert torch.equal(gated.sign(), image.sign())


@torch.no_grad()
def test_behind_the_encoder_stands_the_gate_of_gated2d() -> None:
    torch.manual_seed(0)
    network = JointNetwork(MADE.layout, SIZES, "gated2d").eval()
    assert isinstance(network.gate, MapGate)
    phi_t, phi_x, mask = network.encoder(*parts())
    expected = network.gate(phi_x, phi_t, mask).mean(dim=(2, 3))
    torch.testing.assert_close(network(torch.from_numpy(MADE.joined())), expected)


@pytest.mark.parametrize("output", ["both", "gated", "gated2d"])
def test_encoder_and_gate_learn_together(output: Any) -> None:
    torch.manual_seed(0)
    network = JointNetwork(MADE.layout, SIZES, output)
    network(torch.from_numpy(MADE.joined())).square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in network.parameters())


def test_the_sizes_of_the_specification() -> None:
    options = JointOptions()
    assert (options.width, options.layers, options.heads, options.feedforward, options.dropout) == (
        256,
        2,
        8,
        1024,
        0.1,
    )
    layer: Any = JointEncoder(MADE.layout, EncoderSizes(256, 2, 8, 1024, 0.1), grid=False).layers[0]
    assert (layer.self_attn.num_heads, layer.linear1.out_features, layer.dropout.p) == (8, 1024, 0.1)
    assert layer.activation is torch.nn.functional.gelu


@pytest.mark.parametrize("wrong", [{"width": 30}, {"heads": 0}, {"layers": -1}, {"dropout": 1}, {"output": "cells"}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JointOptions(**wrong)


def test_without_layers_any_width_will_do() -> None:
    assert JointOptions(width=30, layers=0).width == 30
    z = JointFusion(MADE.layout, width=7, layers=0, train="none").fit_transform(MADE.joined())
    assert z.shape == (60, 14)
    assert IMAGE_WIDTH != 7
