"""The two trainings of docs/systems/fusions.md#dpm: a `vse` first, then its layers slowly beside the pair's vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.models.fusions.semantic.base import VseOptions, build_vse
from stages.models.fusions.semantic.dpm import DpmModel
from stages.models.fusions.semantic.rows import DpmOptions
from stages.models.heads.model import LabelledRows
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Watch
from tests.stages.models.fusions.semantic.pair_toy import Toy, module, rows_of, tensor
from tests.stages.train.killed import Counting, Killed

VSE = {"vse_width": 8, "vse_words_width": 6, "vse_joint_width": 10, "vse_hidden": (7,), "vse_batch": 32}
SMALL = {**VSE, "hidden": (9,), "vse_epochs": 2, "epochs": 2, "batch": 32}


def model(toy: Toy, **options: Any) -> DpmModel:
    return DpmModel(toy.layout("vector", pair=True), DpmOptions(**{**SMALL, **options}), toy.problem)


def none_of(x: np.ndarray, toy: Toy) -> LabelledRows:
    return LabelledRows(x[:0], toy.y[:0])


def test_the_joint_vector_stands_before_that_of_the_pair() -> None:
    toy = Toy("multiclass", 8)
    net, x = module("dpm", toy, "vector", **SMALL).eval(), tensor(toy.joined("vector", pair=True))
    fused = net.fuse(x)
    assert fused.shape == (8, 16)
    torch.testing.assert_close(fused[:, 10:], torch.from_numpy(toy.pair))
    torch.testing.assert_close(net(x), net.head(fused))
    plain: Any = module("vse", toy, "vector", width=8, words_width=6, joint_width=10, hidden=(7,)).eval()
    plain.load_state_dict({**plain.state_dict(), **{k: v for k, v in net.state_dict().items() if k.startswith("vse.")}})
    torch.testing.assert_close(fused[:, :10], plain.fuse(tensor(toy.joined("vector"))))


def test_the_first_training_is_that_of_a_vse_on_texts_and_pictures_alone() -> None:
    toy = Toy("multiclass")
    found = model(toy)
    x, without = toy.joined("vector", pair=True), toy.joined("vector")
    found.fit(rows_of(x, toy, 0, 100), rows_of(x, toy, 100, 120))
    options = VseOptions(width=8, words_width=6, joint_width=10, hidden=(7,), batch=32, epochs=2)
    alone = build_vse(toy.layout("vector"), options, toy.problem)
    alone.fit(rows_of(without, toy, 0, 100), rows_of(without, toy, 100, 120))
    learned = found.base.fitted_.state_dict()
    for name, value in alone.fitted_.state_dict().items():
        torch.testing.assert_close(learned[name], value, atol=1e-5, rtol=1e-5)  # columns lie elsewhere in memory


def test_the_second_starts_from_the_first_and_its_old_layers_learn_at_a_tenth() -> None:
    toy = Toy("multiclass", 100)
    x = toy.joined("vector", pair=True)
    found = model(toy, epochs=1, batch=100, weight_decay=0.0, lr=1e-3).fit(rows_of(x, toy, 0, 100), none_of(x, toy))
    first, last = found.base.fitted_.state_dict(), found.joint.fitted_.state_dict()
    # The first step of AdamW is as long as its rate, wherever there is a gradient.
    steps = {name: (value - first[name]).abs().max() for name, value in last.items() if name.startswith("vse.")}
    assert sorted(steps) == sorted(name for name in first if name.startswith("vse."))
    assert all(float(step) == pytest.approx(1e-4, rel=1e-2) for step in steps.values())
    torch.manual_seed(0)
    drawn = found.joint.module(**found.joint.arguments).state_dict()
    moved = (last["head.layers.0.weight"] - drawn["head.layers.0.weight"]).abs().max()
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)


def test_the_pair_is_read() -> None:
    toy = Toy("multiclass")
    x = toy.joined("vector", pair=True)
    found = model(toy).fit(rows_of(x, toy, 0, 100), none_of(x, toy))
    other = x.copy()
    width = toy.pair.shape[1]
    start = x.shape[1] - 3 - 5 - width
    np.testing.assert_array_equal(x[:, start : start + width], toy.pair)
    other[:, start : start + width] += 1
    assert not np.allclose(found.scores(other), found.scores(x))


def test_its_curve_is_that_of_the_second_training_and_each_has_a_bar_of_its_own() -> None:
    toy, told = Toy("multiclass"), Counting()
    x = toy.joined("vector", pair=True)
    found = model(toy, epochs=3).fit(rows_of(x, toy, 0, 100), none_of(x, toy), Watch("train dpm", told))
    assert told.bars == ["train dpm, vse", "train dpm, joint"]
    assert told.rows == 500
    assert len(found.history) == 3


@pytest.mark.parametrize("at", [150, 250, 450])  # rows: in the second epoch of the base, and in two of what follows
def test_killed_in_either_training_it_goes_on_and_ends_in_the_same_bytes(at: int, tmp_path: Path) -> None:
    toy = Toy("multiclass")
    x = toy.joined("vector", pair=True)
    kept, train, told = Checkpoints(tmp_path / "states", "dpm", "ab" * 32), rows_of(x, toy, 0, 100), Counting()
    whole = model(toy, epochs=4).fit(train, none_of(x, toy), Watch("train", told))
    with pytest.raises(Killed):
        model(toy, epochs=4).fit(train, none_of(x, toy), Watch("train", Counting(at), kept))
    again = Counting()
    found = model(toy, epochs=4).fit(train, none_of(x, toy), Watch("train", again, kept))
    assert again.rows < told.rows == 600
    for name, value in whole.joint.fitted_.state_dict().items():
        torch.testing.assert_close(found.joint.fitted_.state_dict()[name], value, atol=0, rtol=0)


def test_it_comes_back_from_one_network(tmp_path: Path) -> None:
    toy = Toy("multiclass")
    x = toy.joined("vector", pair=True)
    found = model(toy).fit(rows_of(x, toy, 0, 100), none_of(x, toy))
    found.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "network.safetensors"]
    np.testing.assert_array_equal(model(toy).restore(tmp_path).scores(x), found.scores(x))
