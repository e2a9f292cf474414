"""What a saved state follows from: all code that trains and no other, and how imports tell which code that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.fit import run as fit
from stages.models.training import cause
from stages.models.training.cause import UNWATCHED, Sources, code_of, training_cause

STATEMENTS = {
    "try": "try:\n    import json\nexcept ImportError:\n    import stages.two\n",
    "match": "match 1:\n    case 1:\n        from stages import two\n",
    "method": "class A:\n    async def b(self):\n        with open('c'):\n            from stages.two import d\n",
    "loop": "for _ in ():\n    pass\nelse:\n    if 0:\n        pass\n    elif 1:\n        import os, stages.two as a\n",
    "finally": "try:\n    pass\nfinally:\n    while True:\n        import stages.two\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "store").mkdir()
    write(tmp_path, "stages/__init__", "")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    file = folder / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def closure(folder: Path, *roots: str) -> set[str]:
    return set(Sources(folder).closure(roots))


@pytest.mark.parametrize("text", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_imports_are_found_in_every_statement(folder: Path, text: str) -> None:
    write(folder, "stages/one", text)
    write(folder, "stages/two", "import stages.one\n")  # and a circle ends
    assert closure(folder, "stages.one") == {"stages.one", "stages.two"}


def test_a_name_is_of_the_module_that_defines_it(folder: Path) -> None:
    write(folder, "store/__init__", "from store.reader import read as open_it\nfrom store.janitor import sweep\n")
    write(folder, "store/reader", "from store.bytes import read\n")
    write(folder, "store/bytes", "def read() -> None: ...\n")
    write(folder, "store/janitor", "def sweep() -> None: ...\n")
    write(folder, "stages/one", "from store import open_it\n")
    assert closure(folder, "stages.one") == {"stages.one", "store.bytes"}
    write(folder, "stages/one", "import store\n")  # whose names could be any
    assert closure(folder, "stages.one") == {"stages.one", "store", "store.bytes", "store.janitor"}


def test_what_changes_no_result_is_left_out_with_all_that_only_it_imports(folder: Path) -> None:
    left_out = "store.errors"
    assert left_out in UNWATCHED
    write(folder, "stages/one", f"import {left_out}\n")
    write(folder, left_out.replace(".", "/"), "import stages.two\n")
    write(folder, "stages/two", "")
    assert closure(folder, "stages.one", left_out) == {"stages.one"}


def test_digests_are_of_the_source(folder: Path) -> None:
    write(folder, "stages/one", "import stages.two\n")
    write(folder, "stages/two", "")
    before = Sources(folder).digests(["stages.one"])
    write(folder, "stages/two", "# a line\n")
    after = Sources(folder).digests(["stages.one"])
    assert before.keys() == after.keys() == {"stages.one", "stages.two"}
    assert before["stages.one"] == after["stages.one"]
    assert before["stages.two"] != after["stages.two"]


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a module of .*; found 'stages\.gone'"):
        closure(folder, "stages.gone")


def test_a_relative_import_is_refused(folder: Path) -> None:
    write(folder, "stages/one", "def late():\n    from . import two\n")
    with pytest.raises(ValueError, match=r"expected absolute imports; found a relative one: from \. import two"):
        closure(folder, "stages.one")


def test_code_of_looks_at_this_installation() -> None:
    assert code_of("stages.models.training.cause").keys() == set()  # it is left out itself
    assert "stages.train.run" in code_of("stages.train.run")


ROOT = Path(__file__).resolve().parents[__name__.count(".")]
OURS = Sources(ROOT)
TRAIN, FUSE, FIT = "stages.train.run", "stages.fuse.run", "stages.fit.run"


@pytest.mark.parametrize(
    ("stage", "counted"),
    [
        (
            TRAIN,
            (
                "stages.train.run",
                "stages.models.experiment",
                "stages.models.features.opening",
                "stages.models.heads.network",
                "stages.models.encoders.image.autoencoder",
                "stages.models.training.state",
                "stages.models.training.checkpoints",
            ),
        ),
        (
            FUSE,
            (
                "stages.fuse.run",
                "stages.models.features.opening",
                "stages.models.fusions.factors.mmeda",
                "stages.models.heads.network",
                "stages.models.training.state",
            ),
        ),
        (
            FIT,
            (
                "stages.fit.run",
                "stages.fit.finetune.training",
                "stages.models.training.epochs",
                "stages.models.encoders.image.weightless",
                "stages.models.fusions.semantic.vse",
            ),
        ),
    ],
)
def test_all_code_that_trains_counts_and_no_other(stage: str, counted: tuple[str, ...]) -> None:
    found = OURS.digests([stage])
    assert not set(counted) - found.keys()
    assert not [name for name in found if name.startswith(("stages.report", "stages.prepare", "pipeline"))]
    assert not found.keys() & {"store.errors", "store.care.garbage", "store.care.compaction", "store.trust.signing"}


def test_what_reads_a_matrix_counts_where_matrices_are_read() -> None:
    assert "store.matrices.reader" in OURS.digests([TRAIN]).keys() & OURS.digests([FUSE]).keys()


@pytest.mark.parametrize("stage", [TRAIN, FUSE])
def test_the_code_of_the_stage_is_part_of_the_cause(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, asked = (np.arange(3),), []
    before = training_cause(stage, {"a": 1}, arrays, "cpu")
    changed = {**code_of(stage), "stages.models.features.opening": "0" * 64}
    monkeypatch.setattr(cause, "code_of", lambda *roots: asked.append(roots) or changed)
    assert training_cause(stage, {"a": 1}, arrays, "cpu") != before
    assert asked == [(stage,)]


def test_a_fit_is_of_another_cause_when_its_code_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        content = "the digest of what is fitted to"

    def found() -> str:
        return fit._cause({"encoder": "w2v"}, Rows(), "cpu")  # type: ignore[arg-type]

    before = found()
    assert found() == before
    monkeypatch.setattr(fit, "code_of", lambda *_: {**code_of(FIT), "stages.models.training.epochs": "0" * 64})
    assert found() != before
