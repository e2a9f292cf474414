"""What `make test-cpus` rests on: no numeric test is left out, the other order is one, and what broke is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processors.__main__ import main
from tests.processors.probe import LIBRARIES, ROOT
from tests.processors.runs import CORE, LEFT_OUT, PART, environment, imports_of, run
from tests.processors.share import drawn
from tests.processors.table import COMBINATIONS, THREADS, Combination

KERNELS = {
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "openvino",
    "sklearn",
    "scipy",
    "skorch",
    "gensim",
    "cv2",
    "faiss",
}

# Breaks where torch runs without vector instructions, and nowhere else.
BREAKS = """
import torch

def test_that_vectors_are_used():
    assert torch.backends.cpu.get_cpu_capability() != "DEFAULT"

def test_that_holds():
    pass
"""

OTHER_ORDER = """
import sys, threading
import torch
from torch.nn.functional import linear
draw = torch.Generator().manual_seed(0)
rows, weight, bias = (torch.randn(*shape, generator=draw) for shape in ((50, 400), (30, 400), (30,)))
made = lambda: [
    rows @ weight.T, linear(rows, weight, bias), (rows[None] @ weight.T[None])[0], linear(rows[:7], weight, bias)
]
own = made()
from tests.processors import reordered
from tests.rules.bounds import assert_same_sums
other, apart = made(), []
thread = threading.Thread(target=lambda: apart.extend(made()))
thread.start(), thread.join()
for one, two, three, four in zip(own, other, apart, made(), strict=True):
    assert not torch.equal(one, two)
    assert torch.equal(two, three) and torch.equal(two, four)  # in each thread, and always
    assert_same_sums(two, one, 401, float((rows.abs() @ weight.abs().T).max()))
assert not torch.equal(other[1][:7], other[3])  # another batch
eye = torch.eye(400)
assert torch.equal(rows @ eye, rows)  # what every processor gives exactly
weight.requires_grad_()
linear(rows, weight).sum().backward()
assert_same_sums(weight.grad, rows.sum(0).expand(30, -1), 50, float(rows.abs().sum(0).max()))
"""


@pytest.mark.parametrize("folder", sorted(LEFT_OUT.keys() - {"tests/processors"}))
def test_folders_that_are_left_out_import_no_kernels(folder: str) -> None:
    found = {path: wrong for path in (ROOT / folder).rglob("*.py") if (wrong := imports_of(path) & KERNELS)}
    assert not found, "expected no numeric tests where runs.py leaves a folder out: move them, or name it there no more"
    assert any((ROOT / folder).rglob("test_*.py"))


def test_the_table_names_each_combination_once_and_means_libraries_that_are_probed() -> None:
    assert len({each.name for each in COMBINATIONS}) == len(COMBINATIONS)
    assert {library for each in COMBINATIONS for library in each.moves} == set(LIBRARIES)
    assert {each.variables.get(THREADS) for each in COMBINATIONS} == {None, "2", "3"}
    assert [each.name for each in COMBINATIONS if each.core]


def test_a_run_has_its_own_variables_and_none_of_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    made = environment({"MKL_CBWR": "COMPATIBLE"})
    assert "ATEN_CPU_CAPABILITY" not in made
    assert (made["MKL_CBWR"], made[THREADS], made["PYTHONHASHSEED"]) == ("COMPATIBLE", "1", "7")
    assert environment({THREADS: "3"})[THREADS] == "3"


def test_another_order_of_sums_is_one_of_the_same_sums() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_ORDER], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_share_takes_of_every_file_and_cases_of_its_own() -> None:
    names = ["a.py::test_alone", "b.py::test_it[x]", "b.py::test_other", *(f"c.py::test_it[{at}]" for at in range(40))]
    first, second = drawn(names, "4 first"), drawn(names, "4 second")
    assert first == drawn(reversed(names), "4 first")
    for found in (first, second):
        assert [sum(name.startswith(file) for name in found) for file in "abc"] == [1, 1, 10]
    assert first != second
    assert drawn(names, "1 all") == set(names)


def test_a_run_takes_the_share_that_it_is_given() -> None:
    four_cases_and_one = ["tests/stages/models/test_catalog.py"]
    assert "2 passed, 3 deselected" in run({}, four_cases_and_one, processes=1, share="4 it").summary


@pytest.mark.parametrize("combination", [each for each in COMBINATIONS if each.core], ids=lambda each: each.name)
def test_the_core_holds(combination: Combination) -> None:
    outcome = run(combination.variables, CORE, processes=1, share=f"{8 * PART} {combination.name}")
    assert (outcome.code, outcome.broke) == (0, {}), outcome.tail


def test_a_run_names_what_broke_and_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(BREAKS)
    outcome = run({"ATEN_CPU_CAPABILITY": "default"}, [str(tmp_path)], processes=1)
    assert outcome.code == 1
    ((test, said),) = outcome.broke.items()
    assert test.endswith("test_it.py::test_that_vectors_are_used")
    assert "'DEFAULT' != 'DEFAULT'" in said
    assert "1 failed, 1 passed" in outcome.summary


def test_a_run_without_tests_is_no_success(tmp_path: Path) -> None:
    outcome = run({}, [str(tmp_path / "test_gone.py")], processes=1)
    assert outcome.code == 4
    assert not outcome.broke
    assert "no tests ran" in outcome.tail


@pytest.mark.slow
def test_the_variable_that_broke_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_it.py").write_text(BREAKS)
    assert main(["--only", "all of them old", "--only", "2 threads", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "2 threads " in told
    assert "ok (moves " in told
    assert "all of them old" in told
    assert "FAILED (moves aten, " in told
    assert "ATEN_CPU_CAPABILITY=default alone breaks 1 of these 1" in told
    assert "MKL_CBWR=COMPATIBLE alone breaks 0 of these 1" in told
