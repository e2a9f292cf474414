"""The `vse` of docs/systems/fusions.md#vse as a network: its parts, its losses, and what an empty text is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from stages.models.fusions.semantic.base import VseOptions
from stages.models.fusions.semantic.rows import CimOptions, CootOptions, DenseOptions, DpmOptions, SapoolOptions
from stages.models.fusions.semantic.states import States, trimmed
from stages.models.fusions.semantic.vse import LastState, VseFusion, cosine_loss, cosines, label_matches, ranking_loss
from tests.stages.models.fusions.semantic.pair_toy import TASKS, Toy, module, tensor

IMAGE, TEXT = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
YES, NO = torch.tensor([[True]]), torch.tensor([[False]])
ALL = torch.tensor([True, True])
WORKED = (torch.eye(2), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def value(loss: Tensor) -> float:
    return round(float(loss), 6)


def test_the_worked_pair_costs_04_whether_it_matches_or_not() -> None:
    similarity = cosines(IMAGE, TEXT)
    assert value(similarity) == 0.6
    assert value(cosine_loss(similarity, YES, ALL[:1], 0.2)) == 0.4
    assert value(cosine_loss(similarity, NO, ALL[:1], 0.2)) == 0.4


def test_an_identical_pair_costs_nothing() -> None:
    assert float(cosine_loss(cosines(TEXT, TEXT), YES, ALL[:1], 0.2)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e6))
def test_cosines_stay_between_minus_1_and_1(width: int, seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, texts = (torch.randn(9, width, generator=generator) * size for _ in range(2))
    found = cosines(torch.cat([images, texts]), torch.cat([texts, images]))
    assert found.abs().max() <= 1
    expected = torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    torch.testing.assert_close(found[:9, :9], expected, atol=1e-5, rtol=0)


def test_a_vector_of_zeros_has_cosine_0_and_pulls_nowhere() -> None:
    nothing = torch.zeros(1, 2, requires_grad=True)
    similarity = cosines(nothing, TEXT)
    assert similarity.tolist() == [[0]]
    similarity.sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.tolist() == [[0, 0]]


def test_matching_pairs_and_others_are_averaged_by_themselves() -> None:
    similarity = torch.tensor([[0.5, 0.9, 0.1], [0.2, 1.0, 0.7], [0.0, 0.3, 0.8]])
    matches = label_matches(torch.tensor([4, 4, 1]), "multiclass")
    near = ((1 - 0.5) + (1 - 0.9) + (1 - 0.2) + (1 - 1.0) + (1 - 0.8)) / 5
    far = (0 + 0.5 + 0 + 0.1) / 4
    assert value(cosine_loss(similarity, matches, torch.ones(3, dtype=torch.bool), 0.2)) == pytest.approx(near + far)


def test_rows_without_a_picture_or_a_text_form_no_pair() -> None:
    similarity = torch.tensor([[0.6, -1.0], [1.0, -1.0]])
    matches, lone = torch.eye(2, dtype=torch.bool), torch.tensor([True, False])
    assert value(cosine_loss(similarity, matches, lone, 0.2)) == 0.4
    assert float(cosine_loss(similarity, matches, ~ALL, 0.2)) == 0
    assert float(ranking_loss(similarity, lone, 0.2, hardest=False)) == 0


@pytest.mark.parametrize(
    ("task", "targets", "expected"),
    [
        ("multiclass", torch.tensor([2, 0, 2]), [[1, 0, 1], [0, 1, 0], [1, 0, 1]]),
        ("multilabel", torch.tensor([[1.0, 0], [1, 1], [1, 0]]), [[1, 0, 1], [0, 1, 0], [1, 0, 1]]),
        ("regression", torch.tensor([[2.0], [0], [2]]), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ],
)
def test_equal_labels_match_and_numbers_only_with_themselves(task: str, targets: Tensor, expected: list) -> None:
    assert label_matches(targets, task).int().tolist() == expected  # type: ignore[arg-type]


def test_the_worked_ranking_costs_exactly_04() -> None:
    similarity = cosines(*WORKED)
    torch.testing.assert_close(similarity, torch.tensor([[0.6, 0.0], [0.8, 1.0]]))
    assert value(ranking_loss(similarity, ALL, 0.2, hardest=False)) == 0.4
    assert value(ranking_loss(similarity, ALL, 0.2, hardest=True)) == 0.4


def test_the_hardest_other_is_the_worst_of_each_row_and_column() -> None:
    similarity = torch.tensor([[0.5, 0.6, 0.4], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]])
    there = torch.ones(3, dtype=torch.bool)
    # margin .2: row 0 pays .3 and .1, column 1 pays .3, column 2 pays .1
    assert value(ranking_loss(similarity, there, 0.2, hardest=False)) == 0.8
    assert value(ranking_loss(similarity, there, 0.2, hardest=True)) == 0.7


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
