"""What made the page: told as far as it is known, and nothing of the machine that is nobody's business."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.report.inputs import Provenance, Stored, Timed, seeds, settings, written
from stages.report.params import ReportParams
from stages.report.read.matrices import MatrixRow, trail
from stages.report.run import run
from stages.report.words import anchor, clock, size
from tests.stages.report.hostile import NAMES
from tests.stages.report.run_folder import RunFolder, whole_run
from tests.stages.report.test_page import Page

COMMIT = "0123456789abcdef" * 2
STORED = (Stored("hash", "ab12" * 16, "float32", 64, 3, 12345, 2_500_000), Stored("use", "99" * 32, "f", 1, 1, 70, 400))
TIMES = (
    Timed("prepare", "", 30.0),
    Timed("embed", "short", 10.0, {"infer": 8.25, "read": 0.01}),
    Timed("embed", "long", 60.0),
)
MACHINE = Provenance({"python": "3.11.7", "torch": "2.15.0"}, COMMIT, changed=True, store=STORED, times=TIMES)
ASKED: dict[str, Any] = {
    "split": {"": {"seed": 7}},
    "train": {
        "attention": {"features": ["caption-hash"], "head": "mlp", "seeds": [0, 1, 2], "lr": 0.01},
        "text-hash": {"seeds": [0, 1, 2], "model": "/home/someone/weights"},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return whole_run(tmp_path_factory.mktemp("run"))


def shown(folder: RunFolder, machine: Provenance) -> str:
    defaults = {"train": {"attention": {"lr": 0.001, "epochs": 50}}}
    inputs = replace(folder.inputs, asked=ASKED, defaults=defaults, provenance=machine)
    run(ReportParams(examples=0), inputs, folder.outputs, SilentProgress())
    return Page(folder.outputs.page.read_text(encoding="utf-8")).text


@pytest.fixture(scope="module")
def text(folder: RunFolder) -> str:
    return shown(folder, MACHINE)


def test_code_versions_and_seeds(text: str) -> None:
    assert f"commit {COMMIT} , with changes to code or parameters that are not committed" in text
    assert "python 3.11.7 torch 2.15.0" in text
    assert "split 7 train 0, 1, 2 attention, text-hash" in text


def test_the_store_is_told_of_the_encoders_of_this_run(text: str) -> None:
    assert f"{'ab12' * 16} 3 12,345 2.5 MB" in text
    assert "It also holds 70 rows (400 B) of encoders that this run does not use." in text


def test_time_is_split_by_verb_with_the_longest_entries_first(text: str) -> None:
    assert "prepare 30 s 30 %" in text
    assert "embed 1 min 10 s 70 % long 1 min 00 s; short 10 s (infer 8.2 s)" in text
    assert "all 1 min 40 s" in text
    assert "As measured on the machine that wrote this page" in text


def test_nothing_of_the_machine_gets_onto_the_page(folder: RunFolder, text: str) -> None:
    page = folder.outputs.page.read_text(encoding="utf-8")
    assert str(folder.root) not in page
    assert str(Path.home()) not in page
    assert "someone" not in page
    assert "model (a path of the machine that ran it)" in text


def test_a_store_out_of_reach_and_a_tree_without_git_are_told(folder: RunFolder) -> None:
    text = shown(folder, Provenance({}, store=None, unreachable="StoreUnreachable"))
    assert "The store could not be reached when this page was written (StoreUnreachable)." in text
    assert "commit not known" in text
    assert "Where the time went" not in text


def test_a_panel_tells_settings_defaults_facts_and_files(text: str) -> None:
    assert "lr 0.01" in text
    assert "epochs 50 (default)" in text
    assert "lr 0.001" not in text
    assert f"predictions digest {'0' * 64}" in text
    assert "data/evaluate/attention/per_class.csv metrics/evaluate/attention.json" in text
    assert "Made again by dvc repro evaluate@attention" in text
    assert "Made again by dvc repro retrieve@both-knn" in text


def test_names_lead_to_anchors_of_their_own() -> None:
    names = ["attention", "attention-2", "a_b", "A_B", "", "_", *NAMES]
    found = [anchor("experiment", name) for name in names]
    assert found[:3] == ["experiment-attention", "experiment-attention-2", "experiment-a_b"]
    assert len(set(found)) == len(names)
    assert all(each.replace("-", "").replace("_", "").isalnum() and each.isascii() for each in found)


def matrix(name: str, *sources: str) -> MatrixRow:
    return MatrixRow(name, "fuse", "concat", "", sources, "", 1, 1, 0, 1, "float32", "", "", "")


def test_the_way_back_goes_round_no_circle_and_tells_what_is_unknown() -> None:
    known = {"a": matrix("a", "b", "lost"), "b": matrix("b", "a")}
    steps = trail(["a"], known)
    assert [(step.depth, step.name) for step in steps] == [(0, "a"), (1, "b"), (2, "a"), (1, "lost")]
    assert steps[-1].row is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("adamw", "adamw"),
        ([512, 256], "512, 256"),
        (None, "none"),
        (False, "false"),
        ({"classes": 5, "ids": "C:\\x"}, "classes: 5, ids: (a path of the machine that ran it)"),
        ("s3://bucket/key", "(a path of the machine that ran it)"),
        (["~/x", "text"], "(a path of the machine that ran it), text"),
    ],
)
def test_settings_as_text(value: object, expected: str) -> None:
    assert written(value) == expected


def test_settings_are_those_given_then_the_defaults_left_alone() -> None:
    found = settings({"head": "mlp", "lr": 1.0}, {"lr": 0.1, "batch": 8}, hidden=("head",))
    assert [(each.name, each.value, each.given) for each in found] == [("lr", "1.0", True), ("batch", "8", False)]


def test_equal_seeds_of_a_verb_stand_together() -> None:
    asked = {"fit": {"a": {"seed": 0}, "b": {"seed": 1}, "c": {"seed": 0}}, "embed": {"x": {"seed": None}}}
    assert seeds(asked) == [("fit", "0", ("a", "c")), ("fit", "1", ("b",))]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (7260, "2 h 01 min"),
    ],
)
def test_times_as_people_say_them(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (3.2e12, "3.2 TB")]
)
def test_sizes_as_people_say_them(count: float, expected: str) -> None:
    assert size(count) == expected
