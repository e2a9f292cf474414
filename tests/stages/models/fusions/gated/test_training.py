"""docs/systems/fusions.md#retrieval-training: whose text is the same, who is paired, and what the loss counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stages.contract import SilentProgress
from stages.models.features.layout import as_layout
from stages.models.fusions.gated.rows import RetrievalOptions
from stages.models.fusions.gated.training import Pairs, Rates, RetrievalTraining, retrieval_loss, text_numbers
from tests.stages.models.fusions.gated.sentences import sentences


def test_rows_of_one_sentence_have_one_number() -> None:
    made = sentences()
    numbers = text_numbers(made.joined(), made.layout)
    assert len(np.unique(numbers)) == len(np.unique(made.number))
    for text in np.unique(numbers):
        assert len(np.unique(made.number[numbers == text])) == 1


def test_a_text_is_all_that_is_read_of_it_and_nothing_of_the_picture() -> None:
    x = np.array([[1, 2, 7, 1, 1], [1, 2, 8, 1, 1], [1, 3, 7, 1, 1], [1, 2, 7, 0, 1], [1, 2, 7, 1, 0]], np.float32)
    np.testing.assert_array_equal(text_numbers(x, as_layout((2, 1))), [0, 0, 1, -1, -1])
    np.testing.assert_array_equal(text_numbers(x, as_layout((1, 2))), [0, 0, 0, -1, -1])
    made = sentences(texts=2)
    made.text["tokens"][:, 0, 0] = np.arange(60)  # equal vectors, other words
    assert len(np.unique(text_numbers(made.joined(), made.layout))) == 60


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(-1, 6), max_size=30), st.integers(0, 99))
def test_each_row_is_paired_with_another_of_its_text(texts: list[int], seed: int) -> None:
    numbers = np.array(texts, dtype=np.int64)
    pairs = Pairs(numbers)
    shared = [row for row, text in enumerate(texts) if text >= 0 and texts.count(text) > 1]
    assert sorted(pairs.rows) == shared
    partners = pairs.partners(np.random.default_rng(seed))
    assert len(partners) == len(pairs) == len(shared)
    assert (partners != pairs.rows).all()
    np.testing.assert_array_equal(numbers[partners], numbers[pairs.rows])
    np.testing.assert_array_equal(numbers[pairs.rows], pairs.texts)
    assert pairs.can_teach == (len({texts[row] for row in shared}) > 1)


def test_every_other_row_of_a_text_is_a_partner_at_times() -> None:
    pairs = Pairs(np.array([0, 1, 0, 0, 1, 0]))
    rng = np.random.default_rng(0)
    drawn = {(int(a), int(b)) for _ in range(200) for a, b in zip(pairs.rows, pairs.partners(rng), strict=True)}
    assert drawn == {(a, b) for group in ((0, 2, 3, 5), (1, 4)) for a in group for b in group if a != b}


def test_the_loss_by_hand_leaves_out_others_of_the_same_text() -> None:
    anchors = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    partners = torch.tensor([[5.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    cosines = [[1, 0, 0.5**0.5], [1, 0, 0.5**0.5], [0, 1, 0.5**0.5]]
    texts = torch.tensor([4, 4, 9])

    def missed(row: int, counted: tuple[int, ...]) -> float:
        return math.log(sum(math.exp(10 * cosines[row][each]) for each in counted)) - 10 * cosines[row][row]

    expected = (missed(0, (0, 2)) + missed(1, (1, 2)) + missed(2, (0, 1, 2))) / 3
    found = retrieval_loss(anchors, partners, texts, torch.tensor(10.0))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_pairs_of_a_single_text_cost_nothing() -> None:
    anchors, partners = torch.randn(4, 3), torch.randn(4, 3)
    assert float(retrieval_loss(anchors, partners, torch.zeros(4), torch.tensor(10.0))) == 0


def test_a_vector_of_zeros_neither_divides_by_zero_nor_explodes() -> None:
    anchors = torch.zeros(2, 3, requires_grad=True)
    loss = retrieval_loss(anchors, torch.randn(2, 3), torch.arange(2), torch.tensor(10.0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert math.isclose(float(loss.detach()), math.log(2), rel_tol=1e-6)
    assert anchors.grad is not None
    assert anchors.grad.isfinite().all()


class Watching(nn.Module):
    """A linear map that notes how many rows came in."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.layer, self.sizes = nn.Linear(columns, 4), list[int]()

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        out: Tensor = self.layer(x)
        return out


def training(numbers: np.ndarray, **rates: Any) -> tuple[RetrievalTraining, Watching]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(numbers), 6)).astype(np.float32)
    torch.manual_seed(0)
    module = Watching(6)
    chosen = Rates(**{"lr": 1e-2, "weight_decay": 0.0, "batch": 4, **rates})
    return RetrievalTraining(module, x, Pairs(numbers), chosen, 0), module


@pytest.mark.parametrize(("pairs", "batches"), [(8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2])])
def test_a_last_batch_of_one_pair_is_left_out(pairs: int, batches: list[int]) -> None:
    run, module = training(np.append(np.zeros(pairs - 2, int), [1, 1]))
    run.epoch(1, SilentProgress())
    assert module.sizes == [2 * each for each in batches]


def test_the_scale_starts_at_10_is_learned_and_stays_at_most_100() -> None:
    run, _ = training(np.arange(20) // 2)
    assert run.scale.item() == pytest.approx(10)
    run.epoch(1, SilentProgress())
    assert run.scale.item() != pytest.approx(10)
    run.restore({**run.state(), "log_scale": np.array([9.0], np.float32)})
    assert run.scale.item() > 8000
    run.epoch(2, SilentProgress())
    assert 90 < run.scale.item() < 100.001


def test_a_scale_at_its_limit_can_fall_again() -> None:
    run, _ = training(np.arange(20) // 2, lr=0.05)
    run.restore({**run.state(), "log_scale": np.array([np.log(100)], np.float32)})
    run.epoch(1, SilentProgress())  # at 100 the drawn pairs are far from found: a lower scale costs less
    assert run.scale.item() < 99


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    (first, one), (second, two) = training(np.arange(20) // 2), training(np.arange(20) // 2)
    torch.manual_seed(99)
    first.epoch(5, SilentProgress())
    second.epoch(5, SilentProgress())
    assert torch.equal(one.layer.weight, two.layer.weight)
    third, three = training(np.arange(20) // 2)
    third.epoch(6, SilentProgress())
    assert not torch.equal(one.layer.weight, three.layer.weight)


def test_training_leaves_the_worlds_dice_alone() -> None:
    run, _ = training(np.arange(20) // 2)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    run.epoch(1, SilentProgress())
    assert torch.equal(torch.rand(1), expected)


def test_the_rates_of_the_specification() -> None:
    options = RetrievalOptions()
    assert (options.train, options.lr, options.batch, options.epochs) == ("retrieval", 1e-4, 32, 20)
