"""The command line as a person meets it: help, catalogues, exit codes, and what each wrong input is answered."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from tests.pipeline.project import SMALL, call, make_project, write_params
from tests.rules.cards import read_card

COMMANDS = ("prepare", "split", "fit", "embed", "reduce", "fuse", "train", "evaluate", "retrieve", "report")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose data set is prepared, split and embedded, by the verbs themselves."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    for command in (["prepare"], ["split"], ["embed"]):
        done = call(folder, "diptych", *command)
        assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


def test_help_names_every_command_and_each_has_its_own(project: Path) -> None:
    done = call(project, "diptych", "--help", COLUMNS="200")
    assert done.returncode == 0
    for command in (*COMMANDS, "plan", "catalog", "recipe", "compare", "doctor", "store"):
        assert command in done.stdout
    assert "wire" not in done.stdout


@pytest.mark.parametrize("kind", ["encoders", "fitters", "fusions", "heads", "sources", "recipes"])
def test_catalogues_are_lists_of_objects_with_a_name(kind: str) -> None:
    done = CliRunner().invoke(app, ["catalog", kind, "--json"])
    rows = json.loads(done.stdout)
    assert rows
    assert all(row["name"] for row in rows)
    shown = CliRunner().invoke(app, ["catalog", kind], env={"COLUMNS": "400"})
    assert shown.exit_code == 0
    assert all(row["name"] in shown.stdout for row in rows)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["embed", "caption-hsah"], "did you mean 'caption-hash'"),
        (["train", "nothing"], "there are ['dummy', 'text', 'joined']"),
        (["catalog", "encoder"], "did you mean 'encoders'"),
        (["wire", "reduce"], "expected one of ['embed', 'fuse', 'train', 'retrieve']"),
        (["recipe", "secens"], "did you mean 'scenes'"),
    ],
)
def test_wrong_words_exit_2_with_the_nearest(project: Path, command: list[str], said: str) -> None:
    done = call(project, "diptych", *command)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_errors_exit_2(project: Path) -> None:
    assert call(project, "diptych", "embedd").returncode == 2
    assert call(project, "diptych", "split", "--fast").returncode == 2


def test_outside_a_project(tmp_path: Path) -> None:
    done = call(tmp_path, "diptych", "plan")
    assert done.returncode == 2
    assert "expected params.yaml and dvc.yaml" in done.stderr


def test_commands_work_from_a_folder_inside_the_project(project: Path) -> None:
    assert call(project / "data", "diptych", "store", "stats").returncode == 0


def test_verbs_leave_how_long_they_took(project: Path) -> None:
    for name in ("prepare", "split", "embed-caption-hash", "embed-image-colors"):
        assert json.loads((project / ".diptych" / "runs" / f"{name}.time.json").read_text("utf-8"))["seconds"] > 0


def test_embed_prints_cached_new_failed(project: Path) -> None:
    done = call(project, "diptych", "embed", "image-colors")
    assert "100 cached, 0 new, 0 failed" in done.stdout


def test_wrong_params_stop_every_verb_before_it_writes(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("data"))
    write_params(folder, {**SMALL, "split": {"tset": 1}})
    done = call(folder, "diptych", "prepare")
    assert done.returncode == 2
    assert "did you mean 'test'" in done.stderr
    assert not (folder / "data").exists()


def test_a_stage_before_its_input_names_what_to_run(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "empty")
    done = call(folder, "diptych", "split")
    assert done.returncode == 2
    assert "run `diptych prepare`" in done.stderr


def test_plan_counts_and_names_the_stages(project: Path) -> None:
    done = call(project, "diptych", "plan", "--json")
    plan = json.loads(done.stdout)
    images = next(row for row in plan["encoders"] if row["name"] == "image-colors")
    assert (images["contents"], images["cached"], images["new"], images["failed"]) == (100, 100, 0, 0)
    assert "report" in plan["stages"]
    shown = call(project, "diptych", "plan", COLUMNS="80").stdout
    assert {"caption-hash", "image-colors", "cached", "store"} <= set(shown.partition("all")[0].split())


def test_doctor_is_content_and_names_the_weights(project: Path) -> None:
    done = call(project, "diptych", "doctor", "--json")
    findings = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert findings["encoder minilm"]["good"]
    bad = call(project, "diptych", "doctor", DIPTYCH_DEVICE="cuda:99", COLUMNS="80")
    assert bad.returncode == 1
    assert "…" not in bad.stdout
    assert "BAD device" in bad.stdout


def test_a_store_that_is_not_there_is_no_sound_store(project: Path, tmp_path: Path) -> None:
    for command in ("verify", "ls", "stats"):
        done = call(project, "diptych", "store", command, DIPTYCH_STORE=str(tmp_path / "typo"))
        assert done.returncode == 2
        assert "expected a feature store at" in done.stderr


def test_store_ls_stats_and_verify(project: Path, tmp_path: Path) -> None:
    listed = json.loads(call(project, "diptych", "store", "ls", "--json").stdout)
    assert {row["encoder"] for row in listed} == {"hash", "colorhist"}
    shown = call(project, "diptych", "store", "ls", COLUMNS="80").stdout
    assert {row["encoder"] for row in listed} | {row["fingerprint"][:16] for row in listed} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    stats = json.loads(call(project, "diptych", "store", "stats", "--json").stdout)
    assert stats["rows"] > 100
    assert [each["sound"] for each in stats["matrices"]] == [True] * 2
    assert "data/embed/caption-hash.zarr.zip: 100 x 64\n" in call(project, "diptych", "store", "stats").stdout
    assert call(project, "diptych", "store", "verify", "--rows").returncode == 0
    copy = tmp_path / "store"
    shutil.copytree(project / ".diptych" / "store", copy)
    segment = next(copy.rglob("zarr.zip-*"))
    segment.chmod(0o644)
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.write_bytes(damaged)
    done = call(project, "diptych", "store", "verify", DIPTYCH_STORE=str(copy))
    assert done.returncode == 1
    assert segment.name in done.stderr


def test_a_matrix_is_verified_once_per_file_and_that_is_remembered(project: Path) -> None:
    matrix = project / "data/embed/image-colors.zarr.zip"
    time.sleep(max(0.0, matrix.stat().st_ctime + 2.5 - time.time()))  # a younger file is not remembered
    assert call(project, "diptych", "retrieve", "by-image").returncode == 0
    remembered = {entry: entry.stat().st_mtime_ns for entry in (project / ".diptych/verified").iterdir()}
    assert any(json.loads(entry.read_text())["path"] == str(matrix.resolve()) for entry in remembered)
    assert call(project, "diptych", "retrieve", "by-image").returncode == 0
    assert all(entry.stat().st_mtime_ns == written for entry, written in remembered.items())


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["fuse", "both"], marks=pytest.mark.slow),
        ["train", "text"],
        pytest.param(["retrieve", "by-image"], marks=pytest.mark.slow),
    ],
)
def test_a_matrix_that_is_not_the_one_of_its_card_is_refused(project: Path, command: list[str]) -> None:
    name = "caption-hash" if command[0] == "train" else "image-colors"
    card = project / f"metrics/embed/{name}.json"
    good = card.read_text("utf-8")
    digest = read_card(card)["digest"]
    try:
        card.write_text(good.replace(digest, "0" * 64), "utf-8")
        done = call(project, "diptych", *command)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "0" * 64 in done.stderr.replace("\n", "")
        card.write_text("{}", "utf-8")
        assert call(project, "diptych", *command).returncode == 2
        card.unlink()
        done = call(project, "diptych", *command)
        assert done.returncode == 2
        assert "run `dvc repro`" in done.stderr
    finally:
        card.write_text(good, "utf-8")
