"""How time, memory and disk grow with the rows: ``make bench SCALE=1`` or ``python -m benchmarks.scale``.

Each size gets a store and two aligned matrices (768 and 2048 numbers of float16) of synthetic texts, made and used by
the code of a run. Each step is a process of its own, watched from here. It writes `benchmarks/scale.json`, the tables
of `docs/scale.md` and its plot, and removes all else.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale_data import WIDTHS
from benchmarks.scale_page import write_page, write_plot
from benchmarks.scale_steps import COMPONENTS, GRAPH_ROW_BYTES, SIZES, STEPS, Case

Result = dict[str, Any]

ROOT = Path(__file__).parents[1]
BOUND = 2 << 30
STEEPEST = 1.15
# Beside vectors and reduced vectors: keys and digests twice, the local index, table, manifest, split, predictions.
_OTHER_ROW_BYTES = 700
_SPARE_BYTES = 256 << 20
_LOOK_SECONDS = 0.01
_MEASURES = ("seconds", "cpu_seconds", "private_bytes")


def needed_bytes(rows: int) -> int:
    """Give the room on disk that one size takes: all vectors twice, in the store and in the matrices."""
    return int(rows * (2 * 2 * sum(WIDTHS.values()) + 4 * COMPONENTS + _OTHER_ROW_BYTES) * 1.05) + _SPARE_BYTES


def measure(sizes: Sequence[int], folder: Path) -> Iterator[Result]:
    """Do all steps at each size below `folder`, which is removed size by size.

    Yields
    ------
    dict
        After each size what is known by then, so that a run that is cut short is not lost:
        `machine`, `bound_bytes`, `steps` (one for each step and size: seconds of the clock and of the processors, most
        memory, and most private memory, or why it was left out), `files` (bytes and counts by size), `growth`.
    """
    about = _machine()
    steps: list[Result] = []
    files: list[Result] = []
    for rows in sorted(sizes):
        case = Case(folder / str(rows), rows)
        case.folder.mkdir(parents=True)
        try:
            for name in STEPS:
                steps.append({"step": name, "rows": rows, **(_left_out(name, rows) or _watched(name, case))})
                sys.stdout.write(f"{_line(steps[-1])}\n")
                sys.stdout.flush()
            files.append(_files(case))
        finally:
            shutil.rmtree(case.folder)
        yield {"machine": about, "bound_bytes": BOUND, "steps": steps, "files": files, "growth": growth(steps)}


def _left_out(name: str, rows: int) -> Result | None:
    if name != "search_hnsw":
        return None
    if importlib.util.find_spec("faiss") is None:
        return {"left_out": "the extra `index` is not installed"}
    graph = rows * GRAPH_ROW_BYTES
    return {"left_out": f"its graph alone would take {graph / 1e9:.1f} GB"} if graph > BOUND // 2 else None


def _watched(name: str, case: Case) -> Result:
    """Run a step, and look at its private memory until it ends; its own peak counts pages of mapped files too."""
    command = [sys.executable, "-m", "benchmarks.scale_steps", name, str(case.folder), str(case.rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:  # noqa: S603 (our own code)
        most = 0
        while child.poll() is None:
            most = max(most, _private_bytes(child.pid))
            time.sleep(_LOOK_SECONDS)
        out = child.stdout.read() if child.stdout else ""
    if child.returncode:
        raise SystemExit(f"scale: expected the step {name} of {case.rows} rows to end well; found {child.returncode}")
    return {**json.loads(out), "private_bytes": most}


def _private_bytes(pid: int) -> int:
    """Return what a process holds that no file stands behind, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def _files(case: Case) -> Result:
    segments = [path for path in case.store.rglob("*") if path.is_file() and path.parent.name == "segments"]
    by_encoder = dict.fromkeys(WIDTHS, 0)
    for path in segments:
        by_encoder[next(name for name in WIDTHS if path.parent.parent.name.startswith(name))] += 1
    return {
        "rows": case.rows,
        "store_bytes": _size(case.store),
        "index_bytes": _size(case.index),
        "matrix_bytes": sum(case.matrix(name).stat().st_size for name in WIDTHS),
        "manifest_bytes": case.manifest.stat().st_size,
        "prediction_bytes": (case.folder / "train" / "predictions.parquet").stat().st_size,
        "predicted_rows": _predicted(case),
        "segments": by_encoder,
    }


def _predicted(case: Case) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(case.folder / "train" / "predictions.parquet").num_rows)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def growth(steps: Sequence[Result]) -> list[Result]:
    """Tell how each step grows: the slope of log(measure) over log(rows), through all sizes and at the two largest.

    Returns
    -------
    list of dict
        step; for each measure its slope and `<measure>_last`, the slope between the two largest sizes; `steep`, whether
        the processors' time grows faster than rows to the power of 1.15 in either.
    """
    found = []
    for name in STEPS:
        rows = [each for each in steps if each["step"] == name and "left_out" not in each]
        if len(rows) < 2:
            continue
        slopes: Result = {"step": name}
        for measured in _MEASURES:
            points = [(math.log(each["rows"]), math.log(max(each[measured], 1e-9))) for each in rows]
            slopes[measured], slopes[f"{measured}_last"] = _slope(points), _slope(points[-2:])
        slopes["steep"] = max(slopes["cpu_seconds"], slopes["cpu_seconds_last"]) > STEEPEST
        found.append(slopes)
    return found


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Fit a line by least squares and return its slope."""
    x, y = (sum(column) / len(points) for column in zip(*points, strict=True))
    return round(sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points), 3)


def _machine() -> Result:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "niceness": os.nice(0),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def _line(step: Result) -> str:
    start = f"{step['step']:12}{step['rows']:>10,} rows"
    if "left_out" in step:
        return f"{start}  left out: {step['left_out']}"
    memory = f"{step['peak_bytes'] / 1e6:8.0f} MB peak {step['private_bytes'] / 1e6:8.0f} MB private"
    return f"{start} {step['seconds']:9.3f} s {step['cpu_seconds']:9.3f} s of processors {memory}"


def _told(result: Result) -> str:
    lines = []
    for each in result["growth"]:
        slopes = f"time {each['seconds']:5.2f}  processors {each['cpu_seconds']:5.2f} (at the end "
        slopes += f"{each['cpu_seconds_last']:5.2f})  private memory {each['private_bytes']:5.2f}"
        lines.append(f"{each['step']:12} {slopes}{'  faster than linear' if each['steep'] else ''}")
    over = [each for each in result["steps"] if each.get("private_bytes", 0) > BOUND]
    lines += [f"over the bound of {BOUND} bytes: {each['step']} of {each['rows']} rows" for each in over]
    return "\n".join(lines)


def _sizes(text: str) -> list[int]:
    sizes = [int(each) for each in text.split(",") if each.strip().isdecimal()]
    if len(sizes) < text.count(",") + 1 or 0 in sizes:
        raise argparse.ArgumentTypeError(f"expected numbers of rows, such as 1000,3000; found {text!r}")
    return sizes


def _refuse_full_disk(sizes: Sequence[int], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"scale: expected a folder to work in; found {error}; name another with --folder") from error
    needed, free = needed_bytes(max(sizes)), shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"scale: expected {needed:,} bytes free at {folder} for {max(sizes):,} rows, found {free:,}; free some "
            "space, name another folder with --folder, or smaller sizes with --sizes"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the sizes, measure, print, and write."""
    parser = argparse.ArgumentParser("benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=list(SIZES), help="rows, with commas between")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".diptych" / "scale", help="where it works; nothing of it stays"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "scale.json", help="what it writes")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "scale.md", help="whose tables it writes")
    parser.add_argument("--again", action="store_true", help="measure nothing: write the page from the file")
    options = parser.parse_args(arguments)
    if not options.again:
        _refuse_full_disk(options.sizes, options.folder)
        with tempfile.TemporaryDirectory(prefix="run-", dir=options.folder) as folder:
            for result in measure(options.sizes, Path(folder)):
                options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    result = json.loads(options.json.read_text("utf-8"))
    sys.stdout.write(f"{_told(result)}\n")
    write_page(options.page, result)
    write_plot(options.page.with_suffix(".svg"), result)


if __name__ == "__main__":
    main()
