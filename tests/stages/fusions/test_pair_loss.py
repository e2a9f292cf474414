"""The losses of pairs, docs/systems/fusions.md#pair-losses: its worked numbers, and which pairs count as one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stages.fusions.pair_loss import cosine_loss, cosines, label_matches, ranking_loss

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
