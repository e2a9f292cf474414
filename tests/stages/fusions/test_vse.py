"""The `vse` of docs/systems/fusions.md#vse as a network: its parts, its losses, and what an empty text is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stages.fusions.options_vse import CimOptions, CootOptions, DenseOptions, DpmOptions, SapoolOptions
from stages.fusions.pair_loss import cosine_loss, cosines, label_matches, ranking_loss
from stages.fusions.states import States, trimmed
from stages.fusions.vse import LastState, VseFusion
from stages.fusions.vse_base import VseOptions
from tests.stages.fusions.pair_toy import TASKS, Toy, module, tensor

SMALL = {"width": 8, "words_width": 6, "joint_width": 10, "hidden": (7,)}


def net(task: Any = "multiclass", **options: Any) -> VseFusion:
    found: VseFusion = module("vse", Toy(task), "vector", **SMALL, **options)
    return found


def batch(task: Any = "multiclass", **changes: Any) -> tuple[Tensor, Tensor]:
    toy = Toy(task, 12)
    for name, value in changes.items():
        getattr(toy, name)[:] = value
    return tensor(toy.joined("vector")), torch.from_numpy(np.ascontiguousarray(toy.y))


def test_sizes_and_training_are_those_of_the_specification() -> None:
    options = VseOptions()
    assert (options.width, options.words_width, options.joint_width, options.hidden) == (512, 512, 512, (256,))
    assert (options.optimizer, options.lr, options.momentum, options.batch) == ("sgd", 0.01, 0.9, 64)
    assert (options.epochs, options.clip, options.margin, options.weight, options.aux_weight) == (30, 2.0, 0.2, 1, 0.5)
    whole = VseFusion((300, 2048), 5, "multiclass")
    sizes = {name: tuple(value.shape) for name, value in whole.state_dict().items() if "weight" in name}
    assert sizes == {
        "vse.visual.weight": (512, 2048), "vse.words.lstm.weight_ih_l0": (2048, 300),
        "vse.words.lstm.weight_hh_l0": (2048, 512), "vse.semantic.weight": (512, 512), "vse.joint.weight": (512, 1024),
        "head.layers.0.weight": (256, 512), "head.layers.3.weight": (5, 256), "aux.weight": (5, 512),
    }  # fmt: skip


def test_what_is_fused_is_made_of_both_projections() -> None:
    made, (x, _) = net().eval(), batch()
    words, image = made.read(x)
    pairs = made.vse(words, image)
    torch.testing.assert_close(pairs.visual, made.vse.visual(image.vector))
    torch.testing.assert_close(pairs.semantic, made.vse.semantic(pairs.state))
    both = torch.cat([pairs.visual, pairs.semantic], dim=1)
    torch.testing.assert_close(made.fuse(x), made.vse.joint(both).clamp(min=0))
    torch.testing.assert_close(made(x), made.head(made.fuse(x)))


def test_the_state_is_that_behind_the_last_valid_word() -> None:
    torch.manual_seed(1)
    reader = LastState(3, 5)
    values, lengths = torch.randn(4, 6, 3), torch.tensor([6, 1, 4, 0])
    found = reader(trimmed(values, torch.arange(6) < lengths[:, None]))
    for row, length in enumerate(lengths[:3].tolist()):
        alone, _ = reader.lstm(values[row : row + 1, :length])
        torch.testing.assert_close(found[row], alone[0, -1])
    assert not found[3].any()


def test_a_batch_without_any_word_has_states_of_zeros() -> None:
    words = States(torch.zeros(3, 1, 3), torch.zeros(3, 1, dtype=torch.bool))
    assert LastState(3, 5)(words).tolist() == [[0] * 5] * 3


def test_an_empty_text_stands_at_the_bias_and_forms_no_pair() -> None:
    made, (x, _) = net().train(), batch(lengths=0)
    _, pairs = made(x)
    torch.testing.assert_close(pairs.semantic, made.vse.semantic.bias.expand(12, -1), atol=0, rtol=0)
    assert not pairs.paired.any()


def test_a_missing_picture_is_its_missing_vector_and_forms_no_pair() -> None:
    made, (x, _) = net().train(), batch()
    x[3, -1] = 0
    _, pairs = made(x)
    assert pairs.paired.tolist() == [row != 3 for row in range(12)]
    x[3, -7:-2] = 0.5
    torch.testing.assert_close(made(x)[1].visual[3], made.vse.visual(torch.full((5,), 0.5)))


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_that_of_the_pairs_and_of_the_auxiliary_classifier(task: Any) -> None:
    made, (x, y) = net(task, margin=0.1, weight=0.7, aux_weight=0.3).train(), batch(task)
    _, pairs = made(x)
    near = cosine_loss(cosines(pairs.visual, pairs.semantic), label_matches(y, task), pairs.paired, 0.1)
    told = made.aux(pairs.state) if made.aux else torch.zeros(0)
    label = {
        "multiclass": lambda: functional.cross_entropy(told, y),
        "multilabel": lambda: functional.binary_cross_entropy(told.sigmoid(), y),
        "regression": lambda: functional.mse_loss(told, y),
    }[task]()
    torch.testing.assert_close(made.auxiliary([pairs], y), 0.7 * near + 0.3 * label)


@pytest.mark.parametrize("hardest", [False, True])
def test_the_other_loss_ranks_and_without_aux_stands_alone(hardest: bool) -> None:
    made, (x, y) = net(loss="vsepp", hardest=hardest, aux=False).train(), batch()
    _, pairs = made(x)
    expected = ranking_loss(cosines(pairs.visual, pairs.semantic), pairs.paired, 0.2, hardest=hardest)
    torch.testing.assert_close(made.auxiliary([pairs], y), expected)
    assert not [name for name, _ in made.named_parameters() if name.startswith("aux")]


def test_beyond_training_only_logits_are_given() -> None:
    made, (x, _) = net(), batch()
    assert isinstance(made.train()(x), tuple)
    assert made.eval()(x).shape == (12, 3)


@pytest.mark.parametrize("options", [CimOptions, CootOptions, SapoolOptions])
def test_heads_share_the_width_evenly(options: Any) -> None:
    assert options(width=24, heads=3).heads == 3
    with pytest.raises(ValueError, match=r"expected `width` to be a multiple of `heads`; found 20 and 3"):
        options(width=20, heads=3)


def test_the_others_too_have_the_sizes_of_the_specification() -> None:
    assert (CimOptions().heads, CootOptions().iterations, CootOptions().score_width) == (8, 3, 128)
    assert (SapoolOptions().heads, SapoolOptions().feed_forward, SapoolOptions().hidden) == (8, 4, (512,))
    assert (DenseOptions().width, DenseOptions().words_width, DenseOptions().hidden) == (512, 512, (512,))
    assert (DpmOptions().lr, DpmOptions().hidden, DpmOptions().vse) == (1e-3, (512,), VseOptions())


def test_a_plain_vector_is_one_word() -> None:
    made = VseFusion((4, 3), 2, "multiclass", **SMALL).eval()
    x = torch.cat([torch.randn(3, 7), torch.ones(3, 2)], dim=1)
    words, _ = made.read(x)
    torch.testing.assert_close(words.values, x[:, None, :4])
    assert made(x).shape == (3, 2)
