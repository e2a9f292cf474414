"""A run with all that can spoil a page: forty experiments, names of 200 letters, markup and right-to-left text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.report.inputs import ReportInputs
from tests.rules.cards import read_card, write_card
from tests.stages.report.outcome_files import write_sections
from tests.stages.report.run_folder import CLASSES, SYSTEMS, RunFolder, System
from tests.stages.report.sections.measured.test_missing import ROWS, write_rates, write_table
from tests.stages.report.sections.measured.test_published import TABLE

EXPERIMENTS = 40
LONG = "a-name-of-two-hundred-letters-" + "x" * 170
SCRIPT = '<img src=x onerror=alert(3)><script>alert(4)</script> & "quoted" {{ 7 * 7 }}'
ARABIC = "قطة على الأريكة بجانب النافذة"
NAMES = (LONG, "<img src=y onerror=alert(5)>", 'two words & 100 % "of" it\'s', ARABIC, "attention+")


def hostile_run(root: Path) -> tuple[RunFolder, ReportInputs]:
    """Write the run and what the report reads of it, with every section that a page can have."""
    classes = (*CLASSES[:4], ARABIC, "a class of many letters " + "y" * 100)
    folder = RunFolder(root, classes=classes, captions=(SCRIPT, ARABIC, "z" * 300, "a bird by the sea"))
    folder.write_data()
    folder.write_encoders()
    for system in _systems():
        folder.write_experiment(system, epochs=3)
    folder.write_retrieval("by <b>both")
    _write_nan(folder, NAMES[1])
    _write_missing(folder)
    write_sections(folder, "attention", NAMES[1])
    _card(folder, "fit", "words", encoder="w2v", field="caption", rows=1400, epochs=5, loss=1.25, transductive=True)
    _card(folder, "fuse", "joined", fusion="mf", features=["caption-hash", "small"], rows=24, dim=8, digest="ef" * 32)
    _card(folder, "reduce", "small", features="image-colorhist", rows=24, dim=4, digest="12" * 32)
    inputs = folder.inputs
    entries = {**inputs.entries, "fit": ("words",)}
    return folder, replace(inputs, entries=entries, published=TABLE)


def _systems() -> list[System]:
    plain = [*SYSTEMS, System("deep", "joined + small", "concat", "mlp", 0.45)]
    strange = [System(name, "caption-hash + joined", "late", "svm", 0.3 + at / 50) for at, name in enumerate(NAMES)]
    left = range(EXPERIMENTS - len(plain) - len(strange))
    return [*plain, *strange, *(System(f"more-{at:02}", "small", "none", "mlp", 0.005 * at + 0.1) for at in left)]


def _write_nan(folder: RunFolder, name: str) -> None:
    """Take a figure from one experiment: its cell is blank."""
    path = folder.root / "metrics" / "evaluate" / f"{name}.json"
    path.write_text(path.read_text().replace(f'"f1_micro": {read_card(path)["f1_micro"]}', '"f1_micro": NaN'))


def _write_missing(folder: RunFolder) -> None:
    full = "full,all rows,12,0.512,0.1,0.0,0.0,"
    for name in ("attention", LONG):
        write_table(folder, name, full, "without image,all rows,12,0.4,0.1,-0.112,0.0,")
    write_table(folder, "concat-mlp", full, f"not possible,all rows,,,,,,{LONG}")
    write_rates(folder, ROWS)


def _card(folder: RunFolder, verb: str, name: str, **content: Any) -> None:
    path = folder.root / "metrics" / verb / f"{name}.json"
    write_card(path, content)
