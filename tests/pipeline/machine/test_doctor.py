"""What `diptych doctor` says of processors and weights that this machine may not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.machine import doctor, processor
from pipeline.machine.doctor import told_git
from pipeline.machine.processor import INSTRUCTIONS, instructions, told_instructions, told_openvino, told_threads
from stages.models.encoders.catalog.encoders import ENCODERS
from store.errors import InputError

SERVER = "processor\t: 0\nflags\t\t: fpu sse avx avx2 avx512f avx512_bf16 amx_tile\n\nprocessor\t: 1\nflags\t\t: fpu\n"
LAPTOP = "processor\t: 0\nflags\t\t: fpu sse avx avx2\n"
OLD = "processor\t: 0\nflags\t\t: fpu sse\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SERVER, "avx2, avx512f, avx512_bf16; without avx512_fp16, amx_bf16"),
        (LAPTOP, "avx2; without avx512f, avx512_bf16, avx512_fp16, amx_bf16"),
        (OLD, f"none; without {', '.join(INSTRUCTIONS)}"),
        (SERVER.replace("amx_tile", "amx_bf16 avx512_fp16"), ", ".join(INSTRUCTIONS)),
        (ARM, "unknown: this system does not tell"),
        ("", "unknown: this system does not tell"),
    ],
)
def test_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str) -> None:
    (tmp_path / "cpuinfo").write_text(content)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    assert told_instructions() == said


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert instructions() is None


def test_openvino_there_lacking_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "openvino.py").write_text("raise OSError('built for another machine')")
    assert told_openvino().startswith("installed and not importable (OSError: built for another machine)")
    (tmp_path / "openvino.py").write_text("raise ModuleNotFoundError('openvino')")
    assert told_openvino().startswith("not installed")


def test_threads() -> None:
    assert told_threads().endswith("threads (OMP_NUM_THREADS sets it)")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("none", "64-d, needs no weights"),
        ("random", "64-d, random weights only"),
        ("someone/model", "64-d, needs the model hub: someone/model is not on this machine yet"),
        ("package:somewhere/model", "64-d, weights found: package:somewhere/model"),
    ],
)
def test_where_the_weights_of_an_encoder_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, said: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    row = replace(ENCODERS["hash"], name="another", model=model)
    monkeypatch.setattr(doctor, "ENCODERS", {"another": row})
    (finding,) = doctor._weights()
    assert finding.good
    assert finding.found.startswith(said)
    assert finding.absent == ("hub" in said)


def test_a_project_without_git_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(InputError, match=r"found no \.git.*`git init`.*core\.no_scm true"):
        told_git(tmp_path)
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n['remote \"x\"']\n    url = s3://%x\n")
    assert told_git(tmp_path).startswith("none, which .dvc/config allows")
    (tmp_path / "films").mkdir()
    (tmp_path / ".git").touch()  # a file in a worktree
    assert told_git(tmp_path / "films") == str(tmp_path)


def test_a_user_without_name_and_home_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    found = {each.name: each for each in (*doctor._account(), *doctor._weights())}
    assert set(found) == {"user", "home"}
    assert not any(each.good for each in found.values())
    assert "`export USER=me`" in found["user"].found
    assert "set HOME" in found["home"].found
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("HOME", "/home/me")
    assert [(each.good, each.found) for each in doctor._account()] == [(True, "me"), (True, "/home/me")]
