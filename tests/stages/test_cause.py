"""What a saved state follows from: a change of any code that trains makes it another cause, and of no other code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages import cause
from stages.cause import training_cause
from stages.closure import Sources, code_of
from stages.fit import run as fit

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
                "stages.experiment",
                "stages.features",
                "stages.heads.network",
                "stages.encoders.image.convae_network",
                "stages.training_state",
                "stages.checkpoints",
            ),
        ),
        (
            FUSE,
            (
                "stages.fuse.run",
                "stages.features",
                "stages.fusions.mmeda",
                "stages.heads.network",
                "stages.training_state",
            ),
        ),
        (
            FIT,
            (
                "stages.fit.run",
                "stages.fit.finetune.training",
                "stages.epochs",
                "stages.encoders.image.pixels",
                "stages.fusions.vse",
            ),
        ),
    ],
)
def test_all_code_that_trains_counts_and_no_other(stage: str, counted: tuple[str, ...]) -> None:
    found = OURS.digests([stage])
    assert not set(counted) - found.keys()
    assert not [name for name in found if name.startswith(("stages.report", "stages.prepare", "pipeline"))]
    assert not found.keys() & {"stages.errors", "store.garbage", "store.compaction", "store.signing"}


def test_what_reads_a_matrix_counts_where_matrices_are_read() -> None:
    assert "store.matrix_reader" in OURS.digests([TRAIN]).keys() & OURS.digests([FUSE]).keys()


@pytest.mark.parametrize("stage", [TRAIN, FUSE])
def test_the_code_of_the_stage_is_part_of_the_cause(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, asked = (np.arange(3),), []
    before = training_cause(stage, {"a": 1}, arrays, "cpu")
    changed = {**code_of(stage), "stages.features": "0" * 64}
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
    monkeypatch.setattr(fit, "code_of", lambda *_: {**code_of(FIT), "stages.epochs": "0" * 64})
    assert found() != before
