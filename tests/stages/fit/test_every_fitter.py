"""What holds for every fitter of the catalogue: equal bytes, no sight of dev and test, going on after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.fit.catalog import FITTERS
from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.encoders import ENCODERS
from store.errors import InputError
from tests.rules.cards import read_card
from tests.stages.fit.case import Case, make_case, shuffled, spoilt
from tests.stages.fit.killed import Counting, Killed
from tests.stages.fit.tiny import tiny_bert, tiny_network

SMALL: dict[str, dict[str, Any]] = {
    "w2v": {"encoder": "w2v", "field": "caption", "vector_size": 8, "epochs": 4},
    "bert-ft": {"encoder": "bert-ft", "field": "caption", "epochs": 4},
    "bge-ft": {"encoder": "bge-ft", "field": "caption", "max_len": 64, "epochs": 4},
    "resnet152-ft": {"encoder": "resnet152-ft", "field": "image", "epochs": 4},
    "inceptionv3-ft50": {"encoder": "inceptionv3-ft50", "field": "image", "epochs": 4, "patience": 4},
    "resnet50v2-ft50": {"encoder": "resnet50v2-ft50", "field": "image", "epochs": 4, "patience": 4},
    "mobilenetv2-ft50": {"encoder": "mobilenetv2-ft50", "field": "image", "epochs": 4, "patience": 4},
    "bert-pair-ft": {
        "encoder": "bert-pair-ft", "field": "caption", "epochs": 4, "image_encoder": "colorhist",
        "words_encoder": "wordvec", "words_model": "random", "vse_width": 6, "vse_epochs": 3, "vse_batch": 8,
    },
    "bovw": {"encoder": "bovw", "field": "image", "k": 6, "sample": 200},
    "convae": {"encoder": "convae", "field": "image", "size": 8, "hidden": 6, "latent": 4, "batch": 5, "epochs": 4},
}  # fmt: skip
FINETUNED = [name for name, row in ENCODERS.items() if row.fitted and "output" in row.options]
# The ones left out differ from mobilenetv2-ft50 in the name of their base alone, which is a tiny network here anyhow.
COVERED = [name for name in SMALL if name not in {"inceptionv3-ft50", "resnet50v2-ft50"}]
WITH_EPOCHS = [name for name in COVERED if "epochs" in SMALL[name]]
# bge-ft differs from bert-ft in its pooling, resnet152-ft from mobilenetv2-ft50 in what it freezes.
ALIKE = {"bge-ft", "resnet152-ft"}


def each_of(names: list[str]) -> pytest.MarkDecorator:
    marked = [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in names]
    return pytest.mark.parametrize("name", marked)


every = each_of(COVERED)


@pytest.fixture(autouse=True, scope="module")
def _tiny_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let all that is fine-tuned start from tiny networks."""
    root = tmp_path_factory.mktemp("tiny")
    models = {"caption": str(tiny_bert(root / "bert")), "image": str(tiny_network(root / "image"))}
    for name in FINETUNED:
        SMALL[name]["model"] = models[SMALL[name]["field"]]


def test_no_fitter_is_left_out_and_each_has_its_encoder() -> None:
    assert set(SMALL) == set(FITTERS)
    rows = {name: row for name, row in ENCODERS.items() if row.fitted}
    assert set(rows) == set(FITTERS)
    assert all(rows[name].fitted and rows[name].model == "fit" for name in rows)
    assert all(rows[name].kind == FITTERS[name].kind for name in rows)


@every
def test_the_same_inputs_give_the_same_bytes(case: Case, name: str) -> None:
    case.fit(**SMALL[name])
    first = case.written_bytes()
    case.fit(**SMALL[name])
    assert case.written_bytes() == first
    assert not case.states.exists() or not list(case.states.iterdir())


@every
def test_canary_the_inputs_of_dev_and_test_leave_no_trace(case: Case, tmp_path: Path, name: str) -> None:
    case.fit(**SMALL[name])
    for changed in (spoilt(case, tmp_path / "spoilt"), shuffled(case, tmp_path / "shuffled")):
        changed.fit(**SMALL[name])
        assert changed.written_bytes() == case.written_bytes()


@every
def test_transductive_sees_all_rows_and_says_so(case: Case, tmp_path: Path, name: str) -> None:
    inductive = case.fit(**SMALL[name])
    card = case.fit(**SMALL[name], transductive=True)
    assert (inductive["transductive"], card["transductive"]) == (False, True)
    reads = {"text": ("caption",), "image": ("picture",), "pair": ("caption", "picture")}[FITTERS[name].kind]
    held = [each for each in case.records if all(getattr(each, field) for field in reads)]
    assert inductive["rows"] == sum(each.part == "train" for each in held) < card["rows"] == len(held)
    assert json.loads((case.outputs.model / "artefact.json").read_text())["transductive"] is True
    noisy = spoilt(case, tmp_path / "spoilt")
    noisy.fit(**SMALL[name], transductive=True)
    assert noisy.written_bytes() != case.written_bytes()


@every
def test_another_seed_or_other_train_rows_give_another_artefact(case: Case, tmp_path: Path, name: str) -> None:
    digest = case.fit(**SMALL[name])["digest"]
    assert case.fit(**SMALL[name], seed=1)["digest"] != digest
    fewer = Case(tmp_path / "fewer", case.records[1:]).written()
    assert fewer.fit(**SMALL[name])["digest"] != digest


@each_of(WITH_EPOCHS)
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_killed_fit_goes_on_behind_its_last_epoch_and_ends_alike(
    case: Case, tmp_path: Path, name: str, epochs: int
) -> None:
    whole = make_case(tmp_path / "whole")
    told = Counting()
    whole.fit(progress=told, **SMALL[name])
    rows = told.total // SMALL[name]["epochs"]
    assert told.rows == told.total
    with pytest.raises(Killed):
        case.fit(progress=Counting(kill_at=epochs * rows + 1), **SMALL[name])
    assert not case.outputs.model.exists()
    rest = Counting()
    case.fit(progress=rest, **SMALL[name])
    assert rest.rows == rest.total == (SMALL[name]["epochs"] - epochs) * rows
    assert case.written_bytes() == whole.written_bytes()
    assert not list(case.states.iterdir())


@each_of(WITH_EPOCHS)
def test_the_state_of_another_fit_is_not_taken_up(case: Case, tmp_path: Path, name: str) -> None:
    with pytest.raises(Killed):
        case.fit(progress=Counting(kill_at=30), **SMALL[name])
    noisy = Case(case.root, tuple(reversed(case.records))).written()
    fresh = Case(tmp_path / "fresh", noisy.records).written()
    for each in (noisy, fresh):
        each.fit(**SMALL[name])
    assert noisy.written_bytes() == fresh.written_bytes()


@each_of(WITH_EPOCHS)
def test_a_damaged_state_is_told_and_not_used(
    case: Case, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_case(tmp_path / "whole")
    whole.fit(**SMALL[name])
    with pytest.raises(Killed):
        case.fit(progress=Counting(kill_at=25), **SMALL[name])
    states = list(case.states.rglob("state.safetensors"))  # one of each phase
    assert states
    for state in states:
        state.write_bytes(state.read_bytes()[:-1] + b"\1")
    case.fit(**SMALL[name])
    assert "is damaged" in caplog.text
    assert case.written_bytes() == whole.written_bytes()


@every
def test_the_card_and_the_curve(case: Case, name: str) -> None:
    card = case.fit(**SMALL[name])
    artefact = Artefact.open(case.outputs.model, name)
    assert read_card(case.outputs.card) == card
    assert card["digest"] == artefact.digest
    assert card["train"] == artefact.train
    header, *lines = case.outputs.history.read_text().splitlines()
    assert header == "epoch,train_loss,valid_loss,valid_accuracy"
    assert len(lines) == card.get("epochs", 0)
    assert "seconds" not in card


@pytest.mark.parametrize("name", [name for name in COVERED if FITTERS[name].tasks])
def test_labels_that_cannot_be_learnt_from_are_refused(case: Case, name: str) -> None:
    with pytest.raises(
        InputError, match=rf"expected a task among \['multilabel', 'multiclass'\] .*{name}.*'regression'"
    ):
        replace(case, task="regression").written().fit(**SMALL[name])
    unlabelled = tuple(replace(each, labels=None) if each.part == "train" else each for each in case.records)
    with pytest.raises(InputError, match=f"expected labelled train rows for encoder '{name}'; found none"):
        replace(case, records=unlabelled).written().fit(**SMALL[name])


@every
def test_without_train_rows_that_have_the_field_there_is_nothing_to_fit(case: Case, tmp_path: Path, name: str) -> None:
    records = tuple(each for each in case.records if each.part != "train")
    with pytest.raises(InputError, match="expected train rows with the field"):
        Case(tmp_path / "none", records).written().fit(**SMALL[name])
