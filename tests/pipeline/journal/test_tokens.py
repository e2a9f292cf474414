"""The dry run says which texts an encoder of params.yaml cannot read, before anything is embedded."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.forecast import dry_run
from pipeline.journal import notices
from pipeline.journal.notices import told_alike
from stages.embed.export import Alike
from tests.pipeline.project import SMALL, write_params
from tests.stages.embed.test_export import EMOJI, THAI

EMBED = {
    "hashed": {"encoder": "hash", "field": "caption"},  # has no vocabulary
    "a-use": {"encoder": "use", "field": "caption"},
    "a-minilm": {"encoder": "minilm", "field": "caption"},
    "far-bge": {"encoder": "bge", "field": "caption"},  # its files are not here, and are not fetched for this
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "dvc.yaml").touch()
    table = {"text": "text", "label": "label"}
    used = {"dummy": {"features": ["a-use"], "head": "dummy"}}
    write_params(
        tmp_path,
        {
            **SMALL, "prepare": {"source": "table", "path": "data", "table": table}, "embed": EMBED, "fuse": {},
            "train": used, "retrieve": {},
        },
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(project: Path, texts: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    rows = "".join(f"{text},{'ab'[number % 2]}\n" for number, text in enumerate(texts))
    (project / "data" / "posts.csv").write_text(f"text,label\n{rows}", "utf-8")
    dry_run.preview_data(None)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("tokens")]


def test_unknown_tokens_and_collisions_are_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use, minilm = said(project, [*THAI, *EMOJI, "a dog", "ein Fuß"], capsys)
    assert use.startswith("tokens      a-use: of 6 texts with signs beyond ASCII 2 are half or more unknown tokens (")
    assert ", and 1 have the tokens of another text; take an encoder" in use
    assert minilm.startswith("tokens      a-minilm: of 6 texts with signs beyond ASCII 5 are half or more")
    assert ", and 4 have the tokens of another text; " in minilm


def test_plain_texts_load_no_tokeniser(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_looked", lambda *_: pytest.fail("a tokeniser was asked"))
    assert said(project, ["a dog", "a cat"], capsys) == []


def test_what_embed_says() -> None:
    line = told_alike(Alike(4, 1200, ("one\x1b[2J", "two")))
    assert line.startswith("4 of 1,200 distinct texts have the vector of another text, such as 'two' that of 'one")
    assert "\x1b" not in line
    assert "docs/encoders.md" in line
