"""`diptych status` at every age of a project: not begun, half-made, broken, run; fast, and no error itself."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import paths
from pipeline.journal import status
from pipeline.journal.recorded import entry, recorded
from pipeline.journal.times import Spent
from store import FeatureStore, Fingerprint, text_key
from store.errors import InputError, RunError
from tests.pipeline.project import ROOT, SMALL, environment, write_params


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was cloned and has not run."""
    write_params(tmp_path, SMALL)
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIPTYCH_STORE", raising=False)
    return tmp_path


def found(name: str, verb: str, seen: status.Status) -> status.EntryState:
    (entry_state,) = [each for each in seen.entries if (each.verb, each.name) == (verb, name)]
    return entry_state


def ended(verb: str, name: str, error: Exception | None = None, **counts: int) -> None:
    """Write down that an entry ran."""
    try:
        with recorded(verb) as recorder, entry(recorder, name, Spent()) as spent:
            spent.tell(counts)
            if error is not None:
                raise error
    except (InputError, RunError):
        pass


def test_a_project_that_has_not_begun(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = status.look()
    assert seen.store is not None
    assert (seen.store.exists, seen.store.reachable, seen.store.rows) == (False, True, 0)
    assert seen.store.free
    assert all(each.missing and each.last is None for each in seen.entries)
    assert (seen.errors, seen.problems) == ({}, [])
    assert list(project.glob(".diptych*")) == []
    status.print_status(seen)
    said = capsys.readouterr().out
    assert "empty" in said
    assert f"{len(seen.entries)} entries lack outputs" in said


def test_the_main_metric_is_told_however_many_counts_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {**dict.fromkeys("abcdefgh", 1), "f1_macro": 0.25, "x": 2}
    last = {"event": "done", "counts": counts}
    status.print_status(status.Status("", None, [status.EntryState("evaluate", "late", last, [])], {}, []))
    said = " ".join(capsys.readouterr().out.split())
    assert "f1_macro 0.25" in said
    assert "x 2" not in said


def test_what_ran_what_failed_and_what_the_store_holds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = FeatureStore(project / ".diptych/store").open(Fingerprint.of("hash", {"x": 1}), 4, "float32")
    log.append(np.stack([np.frombuffer(text_key(t), np.uint8) for t in "abc"]), np.ones((3, 4), "f4"), {})
    ended("embed", "caption-hash", cached=2, new=1)
    ended("train", "text", RunError("expected finite scores; found NaN [/red] \x1b[31m"))
    ended("fuse", "both", InputError("no matrix"))
    ended("fuse", "both", rows=100)
    failed = project / "data/embed/caption-hash.failed.csv"
    failed.parent.mkdir(parents=True)
    failed.write_text('id,reason\np1,too dark\np2,"broken\nby a line"\n')
    ended("split", "", train=70)
    with pytest.raises(InputError), recorded("reduce"):
        raise InputError("params.yaml was wrong")
    ended("reduce", "few")
    seen = status.look()
    split = found("split", "split", seen).last
    assert split is not None
    assert split["counts"] == {"train": 70}
    assert seen.store is not None
    assert (len(seen.store.encoders), seen.store.segments, seen.store.rows) == (1, 1, 3)
    embed = found("caption-hash", "embed", seen)
    assert embed.last is not None
    assert (embed.last["event"], embed.last["counts"], embed.failed) == ("done", {"cached": 2, "new": 1}, 2)
    assert list(seen.errors) == ["train"]  # what has run well since is mended
    assert (seen.errors["train"]["entry"], seen.errors["train"]["exit_code"]) == ("text", 1)
    assert json.loads(json.dumps(seen.as_dict()))["store"]["rows"] == 3
    status.print_status(seen)
    said = capsys.readouterr().out
    assert "last failure of train text" in said
    assert "\x1b[31m" not in said
    assert "2 items without a vector" in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("params.yaml", "train: [", "params.yaml"),
        ("local.toml", 'stroe = "x"', "did you mean 'store'"),
        ("local.toml", 'store = "ftp://user:pw@host/x"', "store: expected"),
        ("local.toml", 'store = "params.yaml"', "store: expected a folder"),
        (".diptych/logs/runs.jsonl", "\0\0\0nothing", ""),
        (".diptych", "a file", ""),
        ("data", "a file", ""),
        ("data/embed/caption-hash.failed.csv", "\0", ""),
    ],
)
def test_a_broken_part_is_said_and_hides_no_other(project: Path, name: str, content: str, said: str) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text(content)
    seen = status.look()
    assert any(said in problem for problem in seen.problems) or not said
    assert "pw" not in json.dumps(seen.as_dict())
    status.print_status(seen)


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"expected params\.yaml"):
        status.look()


def test_it_loads_nothing_heavy_and_is_fast(project: Path) -> None:  # noqa: ARG001 (one stands in it)
    ended("embed", "caption-hash", new=1)
    heavy = ("torch", "transformers", "timm", "sklearn", "scipy", "matplotlib", "openvino", "cv2")
    code = (
        "import sys, pipeline.journal.status as s; s.print_status(s.look());"
        f"sys.exit(str([name for name in {heavy!r} if name in sys.modules] or ''))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "\n"), done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5
    assert "embed caption-hash" in done.stdout


def test_many_runs_are_read_at_once(project: Path) -> None:  # noqa: ARG001
    line: dict[str, Any] = {"ts": "2026-01-01T00:00:00.000Z", "verb": "train", "entry": "text", "event": "done"}
    paths.LOG.parent.mkdir(parents=True)
    paths.LOG.write_text("".join(json.dumps({**line, "fields": {"seconds": n}}) + "\n" for n in range(20_000)))
    start = time.process_time()
    seen = status.look()
    assert time.process_time() - start < 2
    last = found("text", "train", seen).last
    assert last is not None
    assert last["seconds"] == 19_999
