"""The log of runs: whole lines from many processes, bounded, without secrets, and no run ends for its sake."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.journal.recorded import entry, recorded
from pipeline.journal.run_log import RunLog, scrubbed
from pipeline.journal.times import Spent
from store.errors import InputError, RunError

WRITER = "import sys, pathlib; from pipeline.journal.run_log import RunLog\nfor n in range(200): RunLog(pathlib.Path(sys.argv[1])).append({'who': sys.argv[2], 'n': n, 'fields': {'text': 'x' * 900}}, 50_000_000)"  # noqa: E501


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, in which one stands."""
    for name in (paths.PARAMS_FILE, paths.DVC_FILE):
        (tmp_path / name).write_text("")
    for name in [each for each in os.environ if each.startswith("DIPTYCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(path: Path = paths.LOG) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(log), str(who)]) for who in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    found = lines(log)
    for who in "012":
        assert [line["n"] for line in found if line["who"] == who] == list(range(200))
    assert len(list(RunLog(log).lines())) == 600


def test_a_long_log_is_put_aside_and_still_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    for number in range(60):
        log.append({"n": number, "fields": {}}, largest=500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "log.jsonl.1"]
    assert all(path.stat().st_size < 600 for path in tmp_path.iterdir())
    kept = [line["n"] for line in log.lines()]
    assert kept == list(range(kept[0], 60))
    assert len(kept) > 20


def test_what_is_no_line_of_ours_is_passed_over(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.append({"event": "done", "fields": {}})
    with log.path.open("ab") as file:
        file.write(b'{"torn": \n[1]\n"x"\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"fields": 3}\n')
    log.append({"event": "failed", "fields": {}})
    assert [line["event"] for line in log.lines()] == ["done", "failed"]
    assert list(RunLog(tmp_path / "none").lines()) == []


def test_a_log_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(OSError, match=r".+"):
            RunLog(tmp_path / name).append({"fields": {}})
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no answer from https://ann:s3cret@host/x", "no answer from https://***@host/x"),
        (
            "PUT https://host/b?X-Amz-Signature=abcdef&partNumber=3",
            "PUT https://host/b?X-Amz-Signature=***&partNumber=3",
        ),
        ("the key was wJalrXUtnFEMI it says", "the key was *** it says"),
        ("s3://bucket/store is empty", "s3://bucket/store is empty"),
    ],
)
def test_secrets_are_blotted_out(text: str, said: str) -> None:
    assert scrubbed(text, {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "PATH": "bucket/store", "API_TOKEN": "is"}) == said


def test_a_run_is_written_down_with_seconds_and_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_LOG_JSON", str(project / "asked" / "log.jsonl"))
    with recorded("train") as recorder, entry(recorder, "text", Spent()) as spent:
        spent.add("seed 0", 1.25)
        spent.tell({"seeds": 1, "loss": math.nan})
        logging.getLogger("diptych.store").warning("skipped a segment of %s", "https://u:p@host")
    own, asked = lines(), lines(project / "asked" / "log.jsonl")
    assert [line["event"] for line in own] == ["start", "warning", "done"]
    assert [{**line, "ts": ""} for line in asked[1:]] == [{**line, "ts": ""} for line in own]
    assert {line["run"] for line in own} == {own[0]["run"]}
    assert [(line["verb"], line["entry"]) for line in own] == [("train", "text")] * 3
    assert own[1]["fields"] == {"logger": "diptych.store", "message": "skipped a segment of https://***@host"}
    fields = own[2]["fields"]
    assert isinstance(fields, dict)
    assert (fields["phases"], fields["counts"]) == ({"seed 0": 1.25}, {"seeds": 1, "loss": "nan"})


@pytest.mark.parametrize(
    ("error", "event", "code"),
    [
        (InputError("wrong"), "failed", 2),
        (RunError("diverged"), "failed", 1),
        (OSError("full"), "failed", 1),
        (ZeroDivisionError(), "failed", 1),
        (KeyboardInterrupt(), "stopped", 130),
        (SystemExit(143), "stopped", 143),
    ],
)
def test_what_does_not_end_well_is_written_once_and_raised(
    project: Path,  # noqa: ARG001 (one stands in it)
    error: BaseException,
    event: str,
    code: int,
) -> None:
    with pytest.raises(type(error)), recorded("fuse") as recorder, entry(recorder, "both", Spent()):
        raise error
    assert [line["event"] for line in lines()] == ["start", event]
    fields = lines()[-1]["fields"]
    assert isinstance(fields, dict)
    assert fields["exit_code"] == code
    assert ("error" in fields) == (event == "failed")


def test_what_fails_before_any_entry_is_written_too(project: Path) -> None:  # noqa: ARG001
    with pytest.raises(InputError), recorded("fuse"):
        raise InputError("params.yaml: " + "x" * 5000)
    (line,) = lines()
    assert (line["event"], line["entry"]) == ("failed", "")
    assert len(json.dumps(line)) < 1500


def test_outside_a_project_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with recorded("split") as recorder, entry(recorder, "split", Spent()):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_was_asked_for_must_be_writable_and_the_own_one_need_not(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.LOG.parent.parent.mkdir()
    paths.LOG.parent.write_text("a file where the folder should be")
    with recorded("split") as recorder, entry(recorder, "split", Spent()):
        pass
    assert capsys.readouterr().err.count("cannot be written") == 1
    monkeypatch.setenv("DIPTYCH_LOG_JSON", str(project))
    with pytest.raises(InputError, match="log_json: expected a file"), recorded("split"):
        pass


def test_a_long_run_says_where_its_time_went() -> None:
    spent = Spent()
    for number in range(8):
        spent.add(f"train x, seed {number}", 1.0 + number)
    said = spent.split(40.0, "train x, ")
    assert said == ", ".join([*(f"seed {n} {1 + n:.1f} s" for n in range(2, 8)), "all else 7.0 s"])
    assert Spent().split(3.0) == ""
