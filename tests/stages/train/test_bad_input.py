"""Input that cannot be trained on is refused with the reason and the remedy, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.models.fusions.attention import AttentionFusion
from stages.models.fusions.catalog import FUSIONS, AttentionOptions
from stages.models.fusions.row import IMAGE, TEXT, FusionRow, network
from stages.models.training.checkpoints import TrainingSettings
from stages.train.params import TrainParams
from stages.train.run import run
from store import CorruptMatrix, StoreError
from store.errors import DiptychError, InputError
from store.items.split import write_split
from tests.stages.train.case import SYSTEMS, Case


def refused(case: Case, kind: type[Exception], message: str, **params: Any) -> None:
    with pytest.raises(kind, match=message):
        case.train(**{**SYSTEMS["mlp"], **params})
    assert not case.outputs.model.exists()
    assert not case.outputs.predictions.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_never_reach_a_matrix(make_case: Callable[..., Case], value: float) -> None:
    case = make_case()
    case.blocks[1][17, 2] = value
    refused(case, (StoreError, ValueError), "finite|NaN")


def test_a_matrix_spoilt_on_disk_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    params, inputs = TrainParams(**{"features": ["t", "v"], **SYSTEMS["mlp"]}), case.inputs
    content = bytearray(inputs.matrices[0].read_bytes())
    needle = case.blocks[0][5].astype("<f4").tobytes()
    at = content.find(needle)
    assert at > 0
    content[at : at + 4] = np.float32(np.nan).tobytes()
    inputs.matrices[0].write_bytes(content)
    with pytest.raises(CorruptMatrix):
        run(params, inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())
    assert not case.outputs.model.exists()


def test_no_train_part(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.parts[case.parts == "train"] = "test"
    refused(case, InputError, "expected labelled train rows in .*; found none; check the label column")


def test_a_split_of_other_items(make_case: Callable[..., Case]) -> None:
    case = make_case()
    inputs = case.inputs
    write_split(case.dataset.split, [f"j{row}" for row in range(160)], list(case.parts), {})
    params = TrainParams(**{"features": ["t", "v"], **SYSTEMS["mlp"]})
    with pytest.raises(InputError, match="found none for 160 of them, such as 'i000'; run `diptych split` again"):
        run(params, inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())


def test_a_matrix_of_fewer_items(make_case: Callable[..., Case]) -> None:
    case = make_case()
    inputs = case.inputs
    case.dataset.matrix("v", case.blocks[1][:150])
    params = TrainParams(**{"features": ["t", "v"], **SYSTEMS["mlp"]})
    with pytest.raises(InputError, match="expected the 160 items of the manifest in its order; found 150 items"):
        run(params, inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())


def test_a_missing_matrix(make_case: Callable[..., Case]) -> None:
    case = make_case()
    inputs = case.inputs
    inputs.matrices[1].unlink()
    params = TrainParams(**{"features": ["t", "v"], **SYSTEMS["mlp"]})
    with pytest.raises(InputError, match=r"expected the matrix .*; found no file; run `dvc repro`"):
        run(params, inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({TEXT: ("tokens",)}, r"expected tokens beside the vectors of .*t\.zarr\.zip; found none; .* `tokens: true`"),
        ({IMAGE: ("map", "regions")}, r"expected map or regions beside the vectors of .*v\.zarr\.zip; .* `map: true`"),
    ],
)
def test_a_fusion_that_reads_what_the_entry_has_not(
    make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, needs: Any, message: str
) -> None:
    row = FusionRow("reads", "native", (2, 2), AttentionOptions, "here", network(lambda: AttentionFusion), needs)
    monkeypatch.setitem(FUSIONS, "reads", row)
    refused(make_case(), InputError, message, **{**SYSTEMS["attention"], "fusion": "reads"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fusion": "cimm"}, "no fusion 'cimm'"),
        ({"head": "mlpp"}, r"no head 'mlpp' \(did you mean 'mlp'\?\)"),
        ({"fusion": "attention"}, "fusion 'attention' takes `head: native`"),
        ({"head": "native"}, "fusion 'concat' takes one of"),
        ({"features": ["t", "v", "t"], "fusion": "none"}, "takes exactly one of `features`; found 3"),
    ],
)
def test_names_and_combinations_are_refused_with_the_params(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainParams(**{"features": ["t", "v"], "fusion": "concat", "head": "mlp", **wrong})


def test_a_monitor_that_the_labels_do_not_serve(make_case: Callable[..., Case]) -> None:
    refused(make_case("multilabel"), InputError, "monitor: expected loss for task 'multilabel'", monitor="top_5")


@pytest.mark.parametrize("system", ["mlp", "attention", "knn", "dummy"])
def test_more_labels_than_rows_are_learnt_all_the_same(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.targets = (np.random.default_rng(0).random((160, 300)) < 0.05).astype(np.float32)
    case.train(**SYSTEMS[system])
    scores = np.array(list(case.scores().values()))
    assert scores.shape == (64, 300)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("system", ["mlp", "linear", "attention", "forest"])
def test_a_single_train_row_is_enough_for_what_learns_labels(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    rows = np.flatnonzero(case.parts == "train")
    case.parts[rows[1:]] = "test"
    assert case.train(**SYSTEMS[system])["train"] == 1
    assert np.isfinite(list(case.scores().values())).all()


def test_every_refusal_is_an_error_of_ours() -> None:
    assert issubclass(InputError, DiptychError)
    assert InputError.exit_code == 2
