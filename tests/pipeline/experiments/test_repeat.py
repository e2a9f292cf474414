"""`diptych repeat` over a project whose stages are one line each, so that DVC itself can be the real one."""

from __future__ import annotations

import csv
import json
import re
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.experiments.repeat import recover, repeat
from pipeline.params.sections import load_params
from stages.contract import SilentProgress
from store.errors import InputError
from tests.pipeline.project import ROOT, SMALL, call, environment, make_project, write_params
from tests.rules.cards import read_card

# A system scores its own seed and that of the split; `broken` does not like an odd seed.
SCORE = """
import json, pathlib, sys, time
from ruamel.yaml import YAML
params = YAML(typ="safe").load(open("params.yaml"))
name = sys.argv[1]
seed = params["split"]["seed"]
if name == "broken" and seed % 2:
    sys.exit("broken: an odd seed")
if name == "slow" and seed:
    pathlib.Path("started").touch()
    time.sleep(60)
made_of = {"seed": params["retrieve"][name].get("seed", -1), "head": "knn", "whole": True}
values = {"metrics": {"top_1": seed / 2}, "counts": {}, "made_of": made_of}
pathlib.Path("metrics/retrieve").mkdir(parents=True, exist_ok=True)
pathlib.Path(f"metrics/retrieve/{name}.json").write_text(json.dumps(values))
pathlib.Path("data/retrieve").mkdir(parents=True, exist_ok=True)
pathlib.Path(f"data/retrieve/{name}.parquet").write_text(str(seed))
"""
CHANGED = "other: 1\n"
STAGES: dict[str, Any] = {
    "stages": {
        "retrieve": {
            "foreach": "${retrieve}",
            "do": {
                "cmd": "python score.py ${key}",
                "deps": ["score.py"],
                "params": ["split", "retrieve.${key}"],
                "outs": ["data/retrieve/${key}.parquet"],
                "metrics": [{"metrics/retrieve/${key}.json": {"cache": False}}],
            },
        }
    }
}
PARAMS: dict[str, Any] = {
    **SMALL,
    "fuse": {},
    "train": {"dummy": {"features": ["caption-hash"], "head": "dummy"}},
    "split": {"seed": 7},
    "retrieve": {
        "near": {"features": ["caption-hash"]},
        "grouped": {"features": ["caption-hash"], "head": "kmeans_svm", "clusters": 3},
        "broken": {"features": ["caption-hash"]},
        "slow": {"features": ["caption-hash"]},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    command = [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    return write_project(tmp_path)


def write_project(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text(SCORE)
    with (tmp_path / "dvc.yaml").open("w") as stream:
        YAML().dump(STAGES, stream)
    write_params(tmp_path, PARAMS)
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(f"# Mine: not to be lost.\n{text}")
    return tmp_path


def before_and_after(folder: Path) -> dict[str, bytes]:
    """Read what `repeat` may borrow, and one output."""
    files = [
        folder / "params.yaml",
        folder / "dvc.lock",
        *folder.glob("metrics/*/*.json"),
        *folder.glob("data/*/*.parquet"),
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()}


def rows(table: Path) -> dict[tuple[str, str], tuple[str, str, str]]:
    with table.open(newline="") as stream:
        return {
            (f"{row['stage']}@{row['name']}", row["metric"]): (row["mean"], row["std"], row["seeds"])
            for row in csv.DictReader(stream)
        }


def test_mean_and_deviation_of_every_metric_and_the_project_as_it_was(project: Path) -> None:
    assert call(project, "dvc", "repro", "retrieve@near").returncode == 0
    before = before_and_after(project)
    assert before["data/retrieve/near.parquet"] == b"7"
    (project / "tables").mkdir()
    done = call(project / "tables", "diptych", "repeat", "mine.csv", "near", "grouped", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    found = rows(project / "tables" / "mine.csv")
    assert {key: tuple(map(float, value)) for key, value in found.items()} == {
        ("retrieve@near", "top_1"): (0.25, pytest.approx(0.125**0.5), 2),  # 0 and 1/2
        ("retrieve@near", "seed"): (-1, 0, 2),  # `knn` draws nothing: it has no seed to set
        ("retrieve@grouped", "top_1"): (0.25, pytest.approx(0.125**0.5), 2),
        ("retrieve@grouped", "seed"): (0.5, pytest.approx(0.5**0.5), 2),
    }
    kept = json.loads((project / "tables" / "mine.json").read_text())
    assert [kept["seeds"][seed]["metrics"]["retrieve@near"]["top_1"] for seed in "01"] == [0, 0.5]
    assert len({kept["seeds"][seed][what] for seed in "01" for what in ("params", "lock")}) == 4
    assert "0.250" in done.stdout
    assert before_and_after(project) == before
    status = call(project, "dvc", "status", "retrieve@near")
    assert "up to date" in status.stdout
    assert not (project / paths.BORROWED).exists()


def test_a_failing_seed_keeps_what_is_done_and_puts_all_back(project: Path) -> None:
    before = before_and_after(project)
    done = call(project, "diptych", "repeat", "t.csv", "broken", "--seeds", "2")
    assert done.returncode == 1
    assert "broken: an odd seed" in done.stderr
    assert "seed-1.log says all" in done.stderr
    assert rows(project / "t.csv")["retrieve@broken", "top_1"] == ("0.0", "", "1")
    after = before_and_after(project)
    assert {name: after[name] for name in before} == before
    assert not (project / "dvc.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_stage_and_puts_all_back(project: Path, number: signal.Signals) -> None:
    before = (project / "params.yaml").read_bytes()
    command = ["diptych", "repeat", "t.csv", "slow", "--seeds", "2"]
    held = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child would inherit that it is ignored
    child = subprocess.Popen(command, cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    signal.signal(signal.SIGINT, held)
    deadline = time.monotonic() + 240
    while not (project / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (project / "params.yaml").read_bytes() != before
    child.send_signal(number)
    child.communicate(timeout=120)
    assert child.returncode == 128 + number
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / paths.BORROWED).exists()


@pytest.mark.parametrize(
    ("table", "names", "said"),
    [
        ("t.csv", ["naer"], "expected entries of train or retrieve; found 'naer' (did you mean 'near'?)"),
        ("t.txt", [], "expected a table with the suffix .csv; found 't.txt'"),
    ],
)
def test_wrong_calls_are_refused_and_touch_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, names: list[str], said: str
) -> None:
    before = before_and_after(write_project(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(said)):
        repeat(Path(table), 2, names, SilentProgress())
    assert before_and_after(tmp_path) == before
    assert not Path(table).exists()


def test_after_a_kill_the_borrowed_params_go_back_unless_they_were_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(write_project(tmp_path))
    before = paths.PARAMS_FILE.read_text()
    script = f"""
        import os, signal
        from pipeline.experiments.repeat import borrowed_project, write_borrowed
        with borrowed_project():
            write_borrowed({CHANGED!r})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for edited, left in (("", before), ("edited: 2\n", "edited: 2\n")):
        paths.PARAMS_FILE.write_text(before)
        call(tmp_path, sys.executable, "-c", textwrap.dedent(script))
        assert paths.PARAMS_FILE.read_text() == CHANGED
        paths.PARAMS_FILE.write_text(edited or CHANGED)
        recover()
        assert paths.PARAMS_FILE.read_text() == left
        assert not paths.BORROWED.exists()
    assert "params.yaml edited since: it stays" in caplog.text
    assert paths.BORROWED.with_name("params-before.yaml").read_text() == before


@pytest.mark.slow
def test_the_values_of_a_seed_are_those_of_a_plain_run_with_it(tmp_path: Path) -> None:
    params = {
        **SMALL,
        "embed": {"words": {"encoder": "hash", "field": "caption"}},
        "fuse": {},
        "train": {"text": {"features": ["words"], "head": "knn", "neighbours": 3}},
        "retrieve": {"by-group": {"features": ["words"], "k": [1, 5], "head": "kmeans_svm", "clusters": 4}},
    }
    folder = make_project(tmp_path / "project", params)
    for seeds in ("1", "2"):
        done = call(folder, "diptych", "repeat", "t.csv", "--seeds", seeds)
        assert done.returncode == 0, done.stderr
    log = (folder / paths.REPEATS / "seed-0.log").read_text()
    assert "Stage 'retrieve@by-group' is cached" in log  # known from the first call
    plain = {**params, "split": {**params["split"], "seed": 1}}
    plain["train"] = {name: {**entry, "seeds": [1]} for name, entry in params["train"].items()}
    plain["retrieve"] = {"by-group": {**params["retrieve"]["by-group"], "seed": 1}}
    write_params(folder, plain)
    assert load_params(folder / "params.yaml").retrieve["by-group"].seed == 1
    again = call(folder, "dvc", "repro", "--no-run-cache", "evaluate@text", "retrieve@by-group")
    assert again.returncode == 0, again.stdout + again.stderr
    kept = json.loads((folder / "t.json").read_text())["seeds"]
    table = rows(folder / "t.csv")
    for target in ("evaluate@text", "retrieve@by-group"):
        card = read_card(folder / "metrics" / (target.replace("@", "/") + ".json"))
        values = kept["1"]["metrics"][target]
        assert values == {name: value for name, value in card.items() if name in values}
        assert values != kept["0"]["metrics"][target]
        for name in values:
            both = [kept[seed]["metrics"][target][name] for seed in "01"]
            assert float(table[target, name][0]) == pytest.approx(statistics.fmean(both))
            assert float(table[target, name][1]) == pytest.approx(statistics.stdev(both))


def test_the_real_pipeline_is_what_repeat_asks_dvc_for() -> None:
    with (ROOT / "dvc.yaml").open() as stream:
        stages = YAML(typ="safe").load(stream)["stages"]
    for verb in ("evaluate", "retrieve"):
        assert {f"metrics/{verb}/${{key}}.json": {"cache": False}} in stages[verb]["do"]["metrics"]
