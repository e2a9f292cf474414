"""A whole `train` on files: what it writes, what it must not look at, and how it refuses what does not fit."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.contract import SilentProgress, Task
from stages.errors import InputError, RunError
from stages.train.data import read_data
from stages.train.params import TrainParams
from stages.train.run import TrainInputs, TrainOutputs, TrainSettings, restore, run

PARTS = np.array((["train"] * 6 + ["dev"] * 2 + ["test"] * 2) * 16)
MLP = {"head": "mlp", "hidden": [8], "epochs": 3, "batch": 32}
SYSTEMS: dict[str, dict[str, Any]] = {
    "mlp": {"fusion": "concat", **MLP},
    "linear": {"fusion": "concat", "head": "linear", "epochs": 3},
    "forest": {"fusion": "concat", "head": "forest", "trees": 5},
    "svm": {"fusion": "concat", "head": "svm"},
    "knn": {"fusion": "concat", "head": "knn"},
    "dummy": {"fusion": "concat", "head": "dummy"},
    "late": {"fusion": "late", **MLP},
    "late-forest": {"fusion": "late", "head": "forest", "trees": 5},
    "attention": {"fusion": "attention", "head": "native", "epochs": 3, "width": 8, "hidden": [8]},
}
EVERY = pytest.mark.parametrize("system", SYSTEMS)


@dataclass
class Case:
    """Two matrices and targets that a test may change before it trains."""

    dataset: Any
    task: Task
    blocks: list[np.ndarray]
    targets: np.ndarray
    parts: np.ndarray
    usable: tuple[Any, Any] = (None, None)
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> TrainOutputs:
        root = self.dataset.root
        return TrainOutputs(root / "models" / "x", root / "data" / "x.parquet", root / "data" / "x.history.csv")

    @property
    def inputs(self) -> TrainInputs:
        self.dataset.write(self.task, self.targets, list(self.parts), self.classes)
        paths = tuple(
            self.dataset.matrix(name, block, usable=usable)
            for name, block, usable in zip("tv", self.blocks, self.usable, strict=True)
        )
        return TrainInputs(self.dataset.manifest, self.dataset.split, paths)

    def train(self, **params: Any) -> dict[str, int]:
        inputs = self.inputs
        settings = TrainParams(**{"features": ["t", "v"], "fusion": "concat", **params})
        if settings.fusion == "none":
            inputs = replace(inputs, matrices=inputs.matrices[:1])
        return run(settings, inputs, self.outputs, TrainSettings("cpu"), SilentProgress())

    def models(self) -> dict[str, bytes]:
        folder = self.outputs.model
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def scores(self, seed: int = 0) -> dict[str, list[float]]:
        table = pq.read_table(self.outputs.predictions).to_pylist()
        return {row["id"]: row["scores"] for row in table if row["seed"] == seed}


@pytest.fixture
def make_case(dataset: Any, make_toy: Any) -> Callable[..., Case]:
    def make(task: Task = "multilabel") -> Case:
        toy = make_toy(task)
        targets = toy.y[:, 0].astype(np.float64) if task == "regression" else toy.y.copy()
        return Case(dataset, task, [block.copy() for block in toy.blocks], targets, PARTS.copy())

    return make


@EVERY
@pytest.mark.parametrize("task", get_args(Task))
def test_every_system_scores_all_dev_and_test_rows_of_every_task(
    system: str, task: Task, make_case: Callable[..., Case]
) -> None:
    case = make_case(task)
    counts = case.train(**SYSTEMS[system], seeds=[0, 5])
    assert counts == {"train": 96, "dev": 32, "seeds": 2}
    table = pq.read_table(case.outputs.predictions)
    about = json.loads(table.schema.metadata[b"diptych"])
    assert (about["task"], about["features"], about["experiment"]) == (task, ["t", "v"], "x")
    expected = [case.dataset.ids(160)[row] for part in ("dev", "test") for row in np.flatnonzero(part == PARTS)]
    assert table.column("id").to_pylist() == expected * 2
    assert table.column("seed").to_pylist() == [0] * 64 + [5] * 64
    assert table.column("part").to_pylist() == (["dev"] * 32 + ["test"] * 32) * 2
    assert {len(row) for row in table.column("scores").to_pylist()} == {1 if task == "regression" else 3}
    suffixes = {Path(name).suffix for name in case.models()}
    assert suffixes <= {".safetensors", ".skops", ".json"}


@EVERY
def test_the_same_inputs_and_seeds_give_the_same_bytes(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    found = []
    for _ in range(2):
        case.train(**SYSTEMS[system], seeds=[2])
        outputs = case.outputs
        found.append((case.models(), outputs.predictions.read_bytes(), outputs.history.read_bytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name not in {"svm", "knn", "dummy"}])
def test_different_seeds_give_different_models_and_predictions(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system], seeds=[0, 1])
    models = case.models()
    ours = {name: data for name, data in models.items() if name.startswith("seed-0")}
    assert any(data != models[name.replace("seed-0", "seed-1")] for name, data in ours.items())
    assert case.scores(0) != case.scores(1)


@EVERY
def test_noise_in_test_rows_leaves_the_models_as_they_are(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system])
    before, scores = case.models(), case.scores()
    test = case.parts == "test"
    rng = np.random.default_rng(9)
    for block in case.blocks:
        block[test] = rng.normal(size=(test.sum(), block.shape[1])) * 30
    case.targets[test] = rng.random((test.sum(), 3)) < 0.5
    case.train(**SYSTEMS[system])
    assert case.models() == before
    dev = [case.dataset.ids(160)[row] for row in np.flatnonzero(case.parts == "dev")]
    assert [case.scores()[name] for name in dev] == [scores[name] for name in dev]


@pytest.mark.parametrize("system", ["forest", "svm", "knn", "dummy", "linear"])
def test_noise_in_dev_rows_too_where_nothing_is_stopped_or_weighted_by_them(
    system: str, make_case: Callable[..., Case]
) -> None:
    case = make_case()
    params = {**SYSTEMS[system], **({"patience": 99} if system == "linear" else {})}
    case.train(**params)
    before = case.models()
    dev = case.parts == "dev"
    for block in case.blocks:
        block[dev] = np.random.default_rng(9).normal(size=(dev.sum(), block.shape[1])) * 30
    case.targets[dev] = 1 - case.targets[dev]
    case.train(**params)
    now = case.models()
    if system == "linear":  # the best epoch is chosen by dev; the scaling knows of train only
        before, now = ({name: data for name, data in each.items() if "scaler" in name} for each in (before, now))
    assert now == before


@EVERY
def test_a_restored_model_gives_the_scores_that_were_written(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system], seeds=[3])
    params = TrainParams(**{"features": ["t", "v"], **SYSTEMS[system]})
    inputs = case.inputs
    data = read_data(inputs.manifest, inputs.split, inputs.matrices)
    model = restore(params, data, 3, case.outputs.model, "cpu")
    test = [case.dataset.ids(160)[row] for row in np.flatnonzero(case.parts == "test")]
    expected = np.array([case.scores(3)[name] for name in test], np.float32)
    np.testing.assert_allclose(model.scores(data.rows("test").x), expected, atol=1e-6)


def test_the_recipe_holds_every_option_also_those_left_to_their_defaults(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS["late"])
    recipe = json.loads((case.outputs.model / "recipe.json").read_text())
    assert recipe["options"].items() >= {"hidden": [8], "epochs": 3, "patience": 5, "weights": "dev"}.items()
    assert (recipe["classes"], recipe["widths"], recipe["scale"]) == (["c0", "c1", "c2"], [5, 4], "standard")


def test_the_history_has_a_line_per_seed_and_epoch(make_case: Callable[..., Case]) -> None:
    case = make_case()
    for system in ("mlp", "late"):
        case.train(**SYSTEMS[system], seeds=[0, 1])
        with case.outputs.history.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [(row["seed"], row["epoch"]) for row in rows] == [(s, e) for s in "01" for e in "123"]
        assert all(float(row["train_loss"]) > 0 and float(row["valid_loss"]) > 0 for row in rows)


def test_without_dev_rows_validation_stays_blank_and_without_epochs_the_history_is_empty(
    make_case: Callable[..., Case],
) -> None:
    case = make_case()
    case.parts[case.parts == "dev"] = "train"
    assert case.train(**SYSTEMS["mlp"])["dev"] == 0
    rows = case.outputs.history.read_text().splitlines()
    assert rows[0] == "seed,epoch,train_loss,valid_loss"
    assert all(row.endswith(",") for row in rows[1:])
    case.train(**SYSTEMS["dummy"])
    assert case.outputs.history.read_text() == "seed,epoch,train_loss,valid_loss\n"


@pytest.mark.parametrize("task", get_args(Task))
def test_unlabelled_rows_are_not_learnt_from_but_get_predictions(task: Task, make_case: Callable[..., Case]) -> None:
    case = make_case(task)
    blank = np.arange(160) % 4 == 1
    case.classes = () if task == "regression" else ("c0", "c1", "c2")
    case.targets[blank] = -1 if task == "multiclass" else np.nan
    counts = case.train(**SYSTEMS["forest"])
    assert counts["train"] == int(((PARTS == "train") & ~blank).sum())
    assert len(case.scores()) == 64
    before = case.models()
    for block in case.blocks:
        block[blank & (PARTS == "train")] = 99.0
    # Scaling is learnt from labelled rows as well, so nothing at all may move.
    case.train(**SYSTEMS["forest"])
    assert case.models() == before


@pytest.mark.parametrize("system", ["attention", "late", "late-forest"])
def test_what_stands_in_for_a_missing_input_leaks_nowhere(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    rows = np.arange(160)
    case.usable = (rows % 5 != 1, rows % 5 != 2)
    case.train(**SYSTEMS[system])
    before, scores = case.models(), case.scores()
    inputs = case.inputs
    for name, block, usable in zip("tv", case.blocks, case.usable, strict=True):
        case.dataset.matrix(name, block, usable=usable, missing=77.0)
    run(
        TrainParams(**{"features": ["t", "v"], **SYSTEMS[system]}),
        inputs,
        case.outputs,
        TrainSettings("cpu"),
        SilentProgress(),
    )
    assert case.models() == before
    assert case.scores() == scores


def test_a_single_class_in_train_is_predicted_always(
    make_case: Callable[..., Case], caplog: pytest.LogCaptureFixture
) -> None:
    case = make_case("multiclass")
    case.targets[case.parts == "train"] = 1
    for system in SYSTEMS.values():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "diptych.heads"):
            case.train(**system)
        assert "the train rows hold a single class" in caplog.text
        assert {int(np.argmax(row)) for row in case.scores().values()} == {1}


def test_classes_that_train_lacks_keep_their_column(make_case: Callable[..., Case]) -> None:
    case = make_case("multiclass")
    case.classes = ("c0", "c1", "c2", "never")
    case.targets[(case.parts == "train") & (case.targets == 2)] = 0
    case.train(**SYSTEMS["forest"])
    scores = np.array(list(case.scores().values()))
    assert scores.shape == (64, 4)
    assert not scores[:, 2:].any()


def test_a_training_that_diverges_is_a_failed_run_and_leaves_nothing(make_case: Callable[..., Case]) -> None:
    case = make_case("regression")
    case.targets *= 1e30
    with pytest.raises(RunError, match=r"expected finite scores; found NaN or infinity with seed 0: .* lower `lr`"):
        case.train(**{**SYSTEMS["linear"], "epochs": 20}, lr=1e30)
    assert not any((case.dataset.root / name).exists() for name in ("models/x", "data/x.parquet", "data/x.history.csv"))


def test_a_failure_leaves_the_outputs_of_before(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS["knn"])
    before = case.models(), case.outputs.predictions.read_bytes(), case.outputs.history.read_bytes()
    with pytest.raises(InputError, match=r"expected at most 96 neighbours \(the train rows\); found 97"):
        case.train(**SYSTEMS["knn"], neighbours=97)
    assert (case.models(), case.outputs.predictions.read_bytes(), case.outputs.history.read_bytes()) == before
    assert not list(case.dataset.root.rglob("*.tmp*"))


def test_another_task_than_the_labels_give_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    with pytest.raises(
        InputError, match=r"expected task 'multilabel', which the manifest's labels give; found `task: m"
    ):
        case.train(**SYSTEMS["dummy"], task="multiclass")
    case.train(**SYSTEMS["dummy"], task="multilabel")


def test_no_labelled_train_rows_is_an_error_with_the_remedy(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.classes = ("c0", "c1", "c2")
    case.targets[case.parts == "train"] = np.nan
    with pytest.raises(InputError, match=r"expected labelled train rows in .*; found none; check the label column"):
        case.train(**SYSTEMS["dummy"])


def test_a_matrix_of_other_items_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    inputs = case.inputs
    case.dataset.matrix("v", case.blocks[1], ids=case.dataset.ids(160)[::-1])
    params = TrainParams(features=["t", "v"], fusion="concat", head="dummy")
    with pytest.raises(InputError, match="expected the 160 items of the manifest in its order"):
        run(params, inputs, case.outputs, TrainSettings("cpu"), SilentProgress())
    assert not case.outputs.model.exists()


def test_a_single_matrix_with_fusion_none(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(features=["t"], fusion="none", head="forest", trees=5)
    before = case.scores()
    case.blocks[1][:] = 0  # the other matrix is nobody's business
    case.train(features=["t"], fusion="none", head="forest", trees=5)
    assert case.scores() == before


def test_an_unknown_device_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    params = TrainParams(features=["t", "v"], fusion="concat", head="dummy")
    with pytest.raises(InputError, match="device"):
        run(params, case.inputs, case.outputs, TrainSettings("gpu"), SilentProgress())
