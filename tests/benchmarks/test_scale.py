"""The scale benchmark measures every step, computes how it grows, and writes figures that follow from its file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale import BOUND, growth, main, needed_bytes
from benchmarks.scale_data import WIDTHS, KeyedEncoder
from benchmarks.scale_page import write_page, write_plot
from benchmarks.scale_paper import ASSUMED, LINES, TARGETS, breaks, cost_of_a_row, evaluate, extended, of_the_code
from benchmarks.scale_steps import SIZES, STEPS
from stages.models.encoders.protocol import Placement
from tests.pipeline.project import ROOT

PAGE = ROOT / "docs" / "scale.md"


def _result(exponent: float = 1.0) -> dict:
    """Make up a run whose steps take time in proportion to a power of the rows."""
    steps = [
        {
            "step": step,
            "rows": rows,
            "seconds": 2e-4 * rows**exponent,
            "cpu_seconds": 1e-4 * rows**exponent,
            "peak_bytes": 2 * 10**8 + 900 * rows,
            "private_bytes": 10**8 + 300 * rows,
        }
        for rows in SIZES
        for step in STEPS
    ]
    files = [
        {
            "rows": rows,
            **dict.fromkeys(("store_bytes", "index_bytes", "matrix_bytes", "manifest_bytes"), 90 * rows),
            "prediction_bytes": 20 * rows,
            "predicted_rows": rows // 4,
            "segments": {"scale-text": 1, "scale-image": 2},
        }
        for rows in SIZES
    ]
    machine = {"processor": "p", "cores": 2, "memory_bytes": 8e9, "python": "3", "load_before": 9.0, "niceness": 19}
    machine["threads"] = "1"
    return {"machine": machine, "bound_bytes": BOUND, "steps": steps, "files": files, "growth": growth(steps)}


@pytest.mark.parametrize(("exponent", "steep"), [(1.0, False), (1.1, False), (1.3, True)])
def test_growth_is_the_slope_of_the_logarithms(exponent: float, steep: bool) -> None:
    found = _result(exponent)["growth"]
    assert [each["step"] for each in found] == list(STEPS)
    for each in found:
        assert each["cpu_seconds"] == pytest.approx(exponent, abs=0.001) == each["seconds_last"]
        assert each["steep"] is steep
        assert 0 < each["private_bytes"] < each["private_bytes_last"] < 1


def test_a_step_that_only_bends_at_the_end_is_steep() -> None:
    result = _result()
    for each in result["steps"]:
        each["cpu_seconds"] = 10.0 if each["rows"] < SIZES[-1] else 300.0
    each = growth(result["steps"])[0]
    assert each["cpu_seconds"] < 1.15 < each["cpu_seconds_last"]
    assert each["steep"]


def test_a_full_disk_is_refused_with_the_number_needed(tmp_path: Path) -> None:
    rows = 10**13
    with pytest.raises(SystemExit, match=f"{needed_bytes(rows):,} bytes free"):
        main(["--sizes", str(rows), "--folder", str(tmp_path / "work"), "--json", str(tmp_path / "scale.json")])
    assert not (tmp_path / "scale.json").exists()


def test_one_million_rows_fit_on_the_disk_that_was_asked_for() -> None:
    vectors = 2 * 2 * 10**6 * sum(WIDTHS.values())
    assert vectors < needed_bytes(10**6) < 20e9


def test_vectors_follow_from_the_keys_alone() -> None:
    first, second = KeyedEncoder("a", 768), KeyedEncoder("a", 768)
    for encoder in (first, second):
        encoder.load(Placement())
    keys = first.prepare([f"text {number}" for number in range(600)])
    together, apart = first.encode(keys), [second.encode([key])[0] for key in keys[::-1]][::-1]
    np.testing.assert_array_equal(together, apart)
    assert together.shape == (600, 768)
    assert 0.5 < together.std() < 0.8
    assert len(np.unique(together[:, 0])) > 590


def test_every_formula_uses_known_numbers_and_every_number_is_used() -> None:
    found = extended(_result())
    assert list(found) == list(TARGETS)
    assert all(values.keys() == {line.name for line in LINES} for values in found.values())
    used = " ".join([*(line.formula for line in LINES), *(each.formula for each in breaks(_result()))])
    for number in (*of_the_code(), *ASSUMED):
        assert re.search(rf"\b{number.name}\b", used), number.name


def test_the_figures_on_paper_by_hand() -> None:
    found = extended(_result())["1B"]
    assert found["vectors"] == 10**9 * 2816 * 2
    assert found["store"] == found["vectors"] + 2 * 10**9 * 40
    assert found["index"] == 48e9
    assert found["resnet"] == pytest.approx(10**9 / 2500 / 3600)
    assert found["knn_hours"] == pytest.approx(10**9 * 1e-4 / 3600)
    assert found["merged"] < found["segments"]
    assert evaluate("ceiling(a / 3) + Piecewise((1, a > 9), (5, True))", {"a": 10.0}) == 5


def test_memory_is_extended_along_the_line_of_the_two_largest_sizes() -> None:
    result = _result()
    assert cost_of_a_row(result, "prepare", "private_bytes") == pytest.approx((10**8, 300))
    found = breaks(result)
    assert [each.rows for each in found] == sorted(each.rows for each in found)
    (bound,) = (each for each in found if each.what == "`prepare` passes the bound of a process in memory (measured)")
    assert bound.rows == pytest.approx((BOUND - 10**8) / 300, rel=0.001)


def test_one_size_alone_is_no_growth_and_breaks_nothing(tmp_path: Path) -> None:
    page, result = tmp_path / "scale.md", _result()
    shutil.copy(PAGE, page)
    result["steps"], result["files"] = result["steps"][: len(STEPS)], result["files"][:1]
    result["growth"] = growth(result["steps"])
    assert result["growth"] == []
    write_page(page, result)
    text = page.read_text("utf-8")
    assert "**Provisional**: measured at 10,000 rows only" in text
    assert "a processor a day" not in text
    assert "| not measured |" in text


def test_page_and_plot_follow_from_the_file(tmp_path: Path) -> None:
    page, result = tmp_path / "scale.md", _result(1.3)
    shutil.copy(PAGE, page)
    result["steps"][-1] = {"step": "search_hnsw", "rows": SIZES[-1], "left_out": "no room"}
    write_page(page, result)
    write_plot(page.with_suffix(".svg"), result)
    text, plot = page.read_text("utf-8"), page.with_suffix(".svg").read_bytes()
    assert "**The machine was shared**" in text
    assert "left out: no room" in text
    assert "Provisional" not in text
    assert "| not measured |" not in text
    assert "- `prepare` grows faster than rows to the power of 1.15." in text
    write_page(page, result)
    write_plot(page.with_suffix(".svg"), result)
    assert (page.read_text("utf-8"), page.with_suffix(".svg").read_bytes()) == (text, plot)
    page.write_text(text.replace("<!-- /paper -->", ""), "utf-8")
    with pytest.raises(ValueError, match="'paper'"):
        write_page(page, result)


def test_the_committed_page_and_plot_are_those_of_the_committed_file(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    shutil.copy(PAGE, page)
    result = json.loads((ROOT / "benchmarks" / "scale.json").read_text("utf-8"))
    write_page(page, result)
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
    assert result["growth"] == growth(result["steps"])


@pytest.mark.slow
def test_three_small_sizes(tmp_path: Path) -> None:
    shutil.copy(PAGE, tmp_path / "scale.md")
    before = [path.read_bytes() for path in (PAGE, ROOT / "benchmarks" / "scale.json")]
    places = ["--folder", str(tmp_path / "work"), "--json", str(tmp_path / "scale.json")]
    command = [sys.executable, "-m", "benchmarks", "--scale", "--sizes", "1000,3000,10000", *places]
    command += ["--page", str(tmp_path / "scale.md")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "scale.json").read_text("utf-8"))
    assert {(each["step"], each["rows"]) for each in result["steps"]} == {
        (step, rows) for step in STEPS for rows in (1000, 3000, 10_000)
    }
    done_steps = [each for each in result["steps"] if "left_out" not in each]
    assert all(0 < each["private_bytes"] < BOUND for each in done_steps)
    assert all(each["private_bytes"] < each["peak_bytes"] * 1.1 for each in done_steps)
    assert {each["step"] for each in result["growth"]} == {each["step"] for each in done_steps}
    largest = result["files"][-1]
    assert largest["store_bytes"] + largest["matrix_bytes"] < needed_bytes(10_000)
    assert (tmp_path / "scale.svg").stat().st_size > 1000
    assert not any((tmp_path / "work").iterdir())
    assert [path.read_bytes() for path in (PAGE, ROOT / "benchmarks" / "scale.json")] == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes", "ten"], "expected numbers of rows, such as 1000,3000; found 'ten'"),
        (["--sizes", "1000,"], "found '1000,'"),
        (["--sizes", "0"], "found '0'"),
        (["--folder", "/proc/none"], "expected a folder to work in"),
    ],
)
def test_wrong_sizes_and_folders_are_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert said in f"{capsys.readouterr().err}{end.value}"
