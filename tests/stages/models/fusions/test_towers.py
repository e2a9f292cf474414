"""docs/systems/fusions.md#towers: published sizes, what each block of z depends on, a training from start to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stages.models.fusions.catalog import FUSIONS, ModelSpec, TowersOptions, count_mistakes
from stages.models.fusions.model import FusedModel
from stages.models.fusions.towers import TowersFusion
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.options import NetworkOptions
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Watch
from store.items.records import Task
from tests.stages.models.fusions.gated.sentences import Killed, Killing, files

PUBLISHED = TowersOptions()


def module(layout: Any, outputs: int, **chosen: Any) -> TowersFusion:
    options = TowersOptions(**chosen)
    own = {name: value for name, value in options.model_dump().items() if name not in NetworkOptions.model_fields}
    return TowersFusion(layout, outputs, **own)


def parameters(part: nn.Module) -> int:
    return sum(each.numel() for each in part.parameters())


@pytest.mark.parametrize(("texts", "image", "z"), [(512, 2048, 4096), (768, 2048, 4096), (512, 1280, 3328)])
def test_z_is_as_wide_as_the_towers_together_and_the_last_layer_as_published(texts: int, image: int, z: int) -> None:
    with torch.device("meta"):
        net = module((texts, texts, image), 5000)
    assert net.width == z
    assert parameters(net.head) == z * 5000 + 5000
    assert parameters(net.towers) == 2 * (texts * 1024 + 1024)
    if z == 4096:
        assert parameters(net.head) == 20_485_000


def test_the_published_training() -> None:
    assert (PUBLISHED.width, PUBLISHED.image_dnn, PUBLISHED.after) == (1024, 0, ())
    assert (PUBLISHED.dropout, PUBLISHED.after_dropout) == (0.2, 0.4)
    assert (PUBLISHED.optimizer, PUBLISHED.lr, PUBLISHED.batch, PUBLISHED.epochs) == ("adam", 1e-3, 64, 20)
    assert PUBLISHED.monitor == "top_5"


def shares(part: nn.Module) -> list[float]:
    return [each.p for each in part.modules() if isinstance(each, nn.Dropout)]


@pytest.mark.parametrize(
    ("after", "widths", "dropout"),
    [((), [7], [0.2]), ((2048,), [2048, 7], [0.4]), ((256, 64), [256, 64, 7], [0.4, 0.4])],
)
def test_the_variants_for_small_data(after: tuple[int, ...], widths: list[int], dropout: list[float]) -> None:
    net = module((4, 5, 6), 7, width=3, after=after)
    linear = [each for each in net.head.modules() if isinstance(each, nn.Linear)]
    assert [each.out_features for each in linear] == widths
    assert linear[0].in_features == 3 + 3 + 6
    assert shares(net.head) == dropout
    assert shares(net.towers) == [0.2, 0.2]


def rows(count: int = 8) -> Tensor:
    x = torch.randn(count, 15, generator=torch.Generator().manual_seed(1))
    return torch.cat([x, torch.ones(count, 3)], dim=1)


def small(**chosen: Any) -> TowersFusion:
    torch.manual_seed(0)
    return module((4, 5, 6), 7, **{"width": 3, **chosen}).eval()


@pytest.mark.parametrize("image_dnn", [0, 2])
def test_z_is_the_tuned_texts_and_the_picture_in_the_order_of_the_inputs(image_dnn: int) -> None:
    net, x = small(image_dnn=image_dnn), rows()
    description, title, image = net.tuned(x)
    z = net.fuse(x)
    assert z.shape == (8, net.width) == (8, 3 + 3 + (image_dnn or 6))
    torch.testing.assert_close(z, torch.cat([description, title, image], dim=1), atol=0, rtol=0)
    layer = net.towers[0][1]  # type: ignore[index]  # torch does not say what a list of modules holds
    torch.testing.assert_close(description, (x[:, :4] @ layer.weight.T + layer.bias).relu())
    if not image_dnn:
        assert torch.equal(image, x[:, 9:15])


def test_an_input_set_to_zero_changes_its_own_block_of_z_alone() -> None:
    net, x = small(), rows()
    before = net.fuse(x)
    for block, own in ((slice(0, 4), slice(0, 3)), (slice(4, 9), slice(3, 6)), (slice(9, 15), slice(6, 12))):
        without = x.clone()
        without[:, block] = 0
        changed = net.fuse(without) != before
        assert changed[:, own].any()
        changed[:, own] = False
        assert not changed.any()


def test_each_text_is_tuned_by_weights_of_its_own() -> None:
    torch.manual_seed(0)
    net = module((4, 4, 2), 3, width=5).eval()
    x = torch.cat([torch.ones(1, 10), torch.ones(1, 3)], dim=1)
    first, second, _ = net.tuned(x)
    assert not torch.allclose(first, second)


def test_a_missing_input_is_read_as_the_vector_that_stands_in_for_it() -> None:
    net, x = small(), rows()
    absent = x.clone()
    absent[:, 16] = 0
    assert torch.equal(net(absent), net(x))


def test_dropout_acts_in_training_alone_and_every_parameter_learns() -> None:
    net, x = small(after=(4,), image_dnn=2), rows(64)
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))
    net(x).square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in net.parameters())


def test_the_logits_are_those_of_z() -> None:
    net, x = small(after=(4,)), rows()
    torch.testing.assert_close(net(x), net.head(net.fuse(x)))
    assert net(x).shape == (8, 7)


def test_it_takes_texts_and_a_picture() -> None:
    assert count_mistakes(FUSIONS["towers"], 3) == count_mistakes(FUSIONS["towers"], 2) == []
    assert count_mistakes(FUSIONS["towers"], 1) == ["fusion 'towers' joins at least 2 features; found 1"]


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"image_dnn": -1}, {"after": (0,)}, {"dropout": 1.0}, {"hidden": (1,)}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TowersOptions(**wrong)


QUICK: dict[str, Any] = {"width": 16, "after": (16,), "epochs": 12, "lr": 0.02, "dropout": 0.1, "after_dropout": 0.1}


def fused(task: Task, outputs: int, seed: int = 0, **chosen: Any) -> FusedModel:
    recipe = ModelSpec("towers", "native", "none", TowersOptions(**{**QUICK, **chosen}), None)
    return FusedModel((5, 4), recipe, Problem(task, outputs, seed))


def parts(toy: Any) -> tuple[LabelledRows, LabelledRows]:
    x, y = toy.joined, toy.y
    return LabelledRows(x[:100], y[:100]), LabelledRows(x[100:120], y[100:120])


def test_early_stopping_looks_at_the_top_5_of_the_dev_rows(make_toy: Any) -> None:
    toy = make_toy("multiclass")
    history = fused("multiclass", 8, epochs=3).fit(*parts(toy)).history
    assert all(0 < each.valid_accuracy <= 1 for each in history)
    assert all(
        np.isnan(each.valid_accuracy) for each in fused("multiclass", 8, monitor="loss").fit(*parts(toy)).history
    )


@pytest.mark.parametrize("task", get_args(Task))
def test_it_learns_and_comes_back_from_disk(task: Task, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy(task)
    model = fused(task, toy.outputs).fit(*parts(toy))
    assert model.history[-1].train_loss < 0.8 * model.history[0].train_loss
    model.save(tmp_path)
    again = fused(task, toy.outputs, seed=5).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(toy.joined), model.scores(toy.joined))
    assert {Path(name).suffix for name in files(tmp_path)} <= {".safetensors", ".json"}


def test_equal_seeds_give_equal_files_whether_or_not_the_run_was_killed(make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    states = Checkpoints(tmp_path / "states", "it", "0" * 16)
    with pytest.raises(Killed):
        fused("multilabel", 3, epochs=4).fit(*parts(toy), Watch("train it", Killing(250), states))
    state = states.latest()
    assert state is not None
    assert state.epoch == 2
    runs = {"whole": Watch(), "again": Watch(), "killed": Watch("train it", checkpoints=states)}
    for name, watch in runs.items():
        (tmp_path / name).mkdir()
        fused("multilabel", 3, epochs=4).fit(*parts(toy), watch).save(tmp_path / name)
    assert files(tmp_path / "whole") == files(tmp_path / "again") == files(tmp_path / "killed")
    (tmp_path / "other").mkdir()
    fused("multilabel", 3, seed=1, epochs=4).fit(*parts(toy)).save(tmp_path / "other")
    assert files(tmp_path / "other") != files(tmp_path / "whole")


def test_noise_in_dev_rows_changes_no_weight(make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    train, dev = parts(toy)
    noisy = LabelledRows(np.random.default_rng(3).normal(size=dev.x.shape).astype(np.float32), 1 - dev.y)
    curves = []
    for name, other in (("first", dev), ("second", noisy)):
        (tmp_path / name).mkdir()
        model = fused("multilabel", 3, epochs=1).fit(train, other)
        model.save(tmp_path / name)
        curves.append(model.history[0].valid_loss)
    assert files(tmp_path / "first") == files(tmp_path / "second")
    assert curves[0] != curves[1]
