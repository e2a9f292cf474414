"""What all visual-semantic fusions have in common: on arrays, and on matrices with tokens, maps and regions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.models.features.layout import Block
from stages.models.features.table import FeatureTable, layout_of, missing_row
from stages.models.fusions.catalog import ModelSpec, count_mistakes
from stages.models.fusions.model import FusedModel
from stages.models.heads.model import LabelledRows
from store import Matrix, MatrixArray, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.errors import InputError
from tests.rules.bounds import assert_same_sums, terms_of
from tests.stages.models.fusions.semantic.pair_toy import (
    FUSIONS,
    LONGEST,
    PLACES,
    SEEN,
    TASKS,
    WORDS,
    Toy,
    module,
    rows_of,
    tensor,
)

NETWORK = {"width": 8, "hidden": (16,), "lr": 0.02, "batch": 32, "epochs": 12}
LSTM = {**NETWORK, "words_width": 16, "joint_width": 16, "optimizer": "adam"}
OPTIONS: dict[str, dict[str, Any]] = {
    "vse": LSTM,
    "cim": {**LSTM, "width": 16, "heads": 2, "epochs": 20},
    "coot": {**LSTM, "heads": 2, "score_width": 4, "iterations": 2},
    "sapool": {**NETWORK, "heads": 2},
    "dense": {**NETWORK, "words_width": 8},
    "dpm": {
        "hidden": (16,), "lr": 0.02, "batch": 32, "epochs": 12, "vse_width": 8, "vse_words_width": 8,
        "vse_joint_width": 8, "vse_hidden": (8,), "vse_lr": 0.05, "vse_epochs": 6, "vse_batch": 32,
    },
}  # fmt: skip
CASES = [
    (name, image) for name in OPTIONS for image in (("map", "regions") if name in ("cim", "coot") else ("vector",))
]
EVERY = pytest.mark.parametrize(("name", "image"), CASES)
NAMES = pytest.mark.parametrize(("name", "image"), [case for case in CASES if case[1] != "regions"])


def build(name: str, image: str, toy: Toy, **options: Any) -> FusedModel:
    chosen = FUSIONS[name].options(**{**OPTIONS[name], **options})
    return FusedModel(
        toy.layout(image, pair=name == "dpm"), ModelSpec(name, "native", "none", chosen, None), toy.problem
    )


def fitted(name: str, image: str, toy: Toy, x: np.ndarray | None = None, **options: Any) -> FusedModel:
    x = toy.joined(image, pair=name == "dpm") if x is None else x
    model = build(name, image, toy, **options)
    return model.fit(rows_of(x, toy, 0, 100), rows_of(x, toy, 100, 120))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def saved(model: FusedModel, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    model.save(folder)
    return files(folder)


def wrong(scores: np.ndarray, y: Any, task: str) -> float:
    if task == "regression":
        return float(((scores - y) ** 2).mean())
    return float((scores.argmax(1) != y).mean() if task == "multiclass" else ((scores >= 0.5) != y).mean())


@EVERY
@pytest.mark.parametrize("task", TASKS)
def test_it_beats_a_constant_and_comes_back_from_disk(name: str, image: str, task: Any, tmp_path: Path) -> None:
    toy = Toy(task, 360)
    x = toy.joined(image, pair=name == "dpm")
    model = build(name, image, toy).fit(rows_of(x, toy, 0, 240), rows_of(x, toy, 240, 280))
    scores, y = model.scores(x[280:]), toy.y[280:]
    if task == "multiclass":
        best = 1 - np.bincount(y).max() / len(y)
    else:
        best = wrong(np.broadcast_to(toy.y[:240].mean(axis=0), scores.shape), y, task)
    assert wrong(scores, y, task) < 0.7 * best
    assert {Path(each).suffix for each in saved(model, tmp_path / "saved")} <= {".safetensors", ".json"}
    np.testing.assert_array_equal(build(name, image, toy).restore(tmp_path / "saved").scores(x[280:]), scores)


@NAMES
def test_equal_seeds_give_equal_files_and_no_other_row_has_a_say(name: str, image: str, tmp_path: Path) -> None:
    toy = Toy("multilabel")
    first, noisy = toy.joined(image, pair=name == "dpm"), toy.joined(image, pair=name == "dpm")
    noisy[100:] += np.random.default_rng(1).normal(size=noisy[100:].shape)
    once = {"epochs": 1, **({"vse_epochs": 1} if name == "dpm" else {})}  # of one epoch dev cannot choose the best
    kept = [
        saved(fitted(name, image, toy, x, **once), tmp_path / at)
        for at, x in (("a", first), ("b", first), ("c", noisy))
    ]
    assert kept[0] == kept[1] == kept[2]


@NAMES
@pytest.mark.parametrize("task", TASKS)
def test_every_parameter_learns(name: str, image: str, task: Any) -> None:
    toy = Toy(task, 16)
    net = module(name, toy, image, **OPTIONS[name]).train()
    out = net(tensor(toy.joined(image, pair=name == "dpm")))
    logits, *parts = out if isinstance(out, tuple) else (out,)
    loss = logits.square().sum() + (net.auxiliary(parts, torch.from_numpy(toy.y)) if parts else 0)
    loss.backward()
    assert not [at for at, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]


@EVERY
def test_padded_words_change_nothing_by_value(name: str, image: str) -> None:
    toy = Toy("multiclass")
    model = fitted(name, image, toy, epochs=2)
    x = toy.joined(image, pair=name == "dpm")
    toy.tokens[~toy.mask] = 1e6
    wild = toy.joined(image, pair=name == "dpm")
    assert (wild != x).any()
    np.testing.assert_array_equal(model.scores(wild), model.scores(x))  # the same sums, in which padding counts as zero


@EVERY
def test_padded_words_change_nothing_by_number(name: str, image: str) -> None:
    """In double precision: three more words make other matrix products, which round otherwise; a leak is larger."""
    toy, longer = Toy("multiclass"), Toy("multiclass")
    longer.tokens, longer.longest = np.pad(longer.tokens, ((0, 0), (0, 3), (0, 0)), constant_values=5), LONGEST + 3
    short, long = (module(name, each, image, **OPTIONS[name]).eval().double() for each in (toy, longer))
    found = [
        net(tensor(each.joined(image, pair=name == "dpm")).double()) for net, each in ((short, toy), (long, longer))
    ]
    assert found[0].dtype == torch.float64
    assert_same_sums(found[1], found[0], terms_of(short, steps=LONGEST))


@EVERY
def test_rows_do_not_influence_each_other(name: str, image: str) -> None:
    toy = Toy("multiclass", 24)
    toy.lengths[:8] = 1
    toy.present[3:5, 2] = 0
    toy.present[10:12, 0] = 0
    net, x = module(name, toy, image, **OPTIONS[name]).eval(), tensor(toy.joined(image, pair=name == "dpm"))
    alone = torch.cat([net(x[row : row + 1]) for row in range(24)])
    torch.testing.assert_close(net(x), alone, atol=1e-5, rtol=1e-4)


@EVERY
@pytest.mark.parametrize("absent", [[0], [1], [2], [0, 1, 2]])
def test_rows_without_an_input_are_learned_from_and_scored(name: str, image: str, absent: list[int]) -> None:
    toy = Toy("multiclass")
    toy.present[::3, absent] = 0
    x = toy.joined(image, pair=name == "dpm")
    scores = fitted(name, image, toy, x, epochs=2).scores(x[120:])
    assert np.isfinite(scores).all()
    assert scores.shape == (40, 3)


@EVERY
def test_words_of_an_absent_text_are_not_read(name: str, image: str) -> None:
    toy = Toy("multiclass", 20)
    net = module(name, toy, image, **OPTIONS[name]).eval()
    x = tensor(toy.joined(image, pair=name == "dpm"))
    here = net(x)
    x[:, -3 if name == "dpm" else -2] = 0
    gone = net(x)
    assert not torch.allclose(gone, here)
    x[:, 2 : 2 + LONGEST * WORDS] = 9
    torch.testing.assert_close(net(x), gone, atol=0, rtol=0)


@pytest.mark.parametrize("name", ["cim", "coot"])
def test_a_padded_region_is_not_read(name: str) -> None:
    toy = Toy("multiclass", 20)
    net = module(name, toy, "regions", **OPTIONS[name]).eval()
    x = tensor(toy.joined("regions"))
    mask, last = slice(-2 - PLACES, -2), slice(-2 - PLACES - SEEN, -2 - PLACES)
    x[:, mask] = torch.tensor([1.0] * (PLACES - 1) + [0])
    found = net(x)
    x[:, last] = 9
    torch.testing.assert_close(net(x), found, atol=0, rtol=0)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_number_of_inputs_is_exact(name: str) -> None:
    exact = 3 if name == "dpm" else 2
    assert not count_mistakes(FUSIONS[name], exact)
    assert count_mistakes(FUSIONS[name], exact - 1)
    assert count_mistakes(FUSIONS[name], exact + 1)


def test_a_single_class_needs_no_training() -> None:
    toy = Toy("multiclass")
    toy.y[:] = 2
    assert fitted("vse", "vector", toy).scores(toy.joined("vector")).argmax(axis=1).tolist() == [2] * 160


def test_a_training_without_dev_rows_runs_to_its_end() -> None:
    toy = Toy("multiclass")
    x = toy.joined("vector")
    model = build("vse", "vector", toy, epochs=2).fit(
        rows_of(x, toy, 0, 65), LabelledRows(x[:0], toy.y[:0])
    )  # a last batch of 1
    assert len(model.history) == 2


ROWS = np.arange(120)


def matrix(path: Path, vectors: np.ndarray, arrays: Mapping[str, np.ndarray], usable: np.ndarray) -> Matrix:
    kinds = {name: "bool" if name.endswith("mask") else "float32" for name in arrays}
    beside = tuple(MatrixArray(name, each.shape[1:], kinds[name]) for name, each in arrays.items())
    ids = [f"i{row}" for row in range(len(vectors))]
    header = MatrixHeader(ids, vectors.shape[1], "float32", np.zeros(vectors.shape[1], np.float32), {}, arrays=beside)
    values = {name: each.astype(kinds[name]) for name, each in arrays.items()}
    block = MatrixBlock(vectors.astype(np.float32), usable, usable, values)
    write_matrix(path, header, [block], durability="none")
    return open_matrix(path)


def written(toy: Toy, name: str, image: str, folder: Path) -> list[Matrix]:
    there = np.ones(len(toy.map), np.bool_)
    here = there & (np.arange(len(toy.map)) % 7 > 0)
    places = toy.map.reshape(len(toy.map), SEEN, PLACES)
    seen = {
        "map": {"map": toy.map},
        "regions": {"regions": places.transpose(0, 2, 1), "region_mask": np.ones((len(toy.map), PLACES))},
    }
    words = matrix(
        folder / "words.h5", np.zeros((len(toy.map), 2)), {"tokens": toy.tokens, "token_mask": toy.mask}, here
    )
    picture = matrix(folder / "picture.h5", places.mean(2), seen.get(image, {"map": toy.map}), there)
    return [words, matrix(folder / "pair.h5", toy.pair, {}, there), picture] if name == "dpm" else [words, picture]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("vse", "vector"),
        ("cim", "map"),
        ("coot", "regions"),
        ("sapool", "vector"),
        ("dpm", "vector"),
        ("dense", "vector"),
    ],
)
def test_it_learns_from_files_comes_back_and_reads_no_array_it_does_not_need(
    name: str, image: str, tmp_path: Path
) -> None:
    toy = Toy("multiclass", 120)
    matrices = written(toy, name, image, tmp_path)
    layout = layout_of(matrices, FUSIONS[name].needs, name)
    assert layout == toy.layout(image, pair=name == "dpm")
    recipe = ModelSpec(name, "native", "standard", FUSIONS[name].options(**{**OPTIONS[name], "epochs": 2}), None)
    tables = [FeatureTable(matrices, rows, layout) for rows in (ROWS[:80], ROWS[80:100])]
    model = FusedModel(layout, recipe, toy.problem).fit(
        LabelledRows(tables[0], toy.y[:80]), LabelledRows(tables[1], toy.y[80:100])
    )
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = FusedModel(layout, recipe, toy.problem).restore(tmp_path / "model")
    x = FeatureTable(matrices, ROWS[100:], layout)[:]
    np.testing.assert_array_equal(again.scores(x), model.scores(x))
    nothing: Any = model.scores(missing_row(matrices, layout)[None])
    assert np.isfinite(nothing).all()


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_matrix_without_words_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    plain = matrix(tmp_path / "plain.h5", np.zeros((3, 2)), {}, np.ones(3, np.bool_))
    with pytest.raises(InputError, match=rf"fusion {name}: expected tokens beside the vectors of .*`tokens: true`"):
        layout_of([plain] * FUSIONS[name].inputs[0], FUSIONS[name].needs, name)


@pytest.mark.parametrize("name", ["cim", "coot"])
def test_a_picture_without_map_or_regions_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    toy = Toy("multiclass", 3)
    words = matrix(
        tmp_path / "w.h5", np.zeros((3, 2)), {"tokens": toy.tokens, "token_mask": toy.mask}, np.ones(3, bool)
    )
    plain = matrix(tmp_path / "plain.h5", np.zeros((3, 2)), {}, np.ones(3, np.bool_))
    with pytest.raises(InputError, match=rf"fusion {name}: expected map or regions beside the vectors of .*plain.h5"):
        layout_of([words, plain], FUSIONS[name].needs, name)
    block = layout_of([words, plain], FUSIONS["vse"].needs, "vse")[0]
    assert block == Block(2, {"tokens": (LONGEST, WORDS), "token_mask": (LONGEST,)})
