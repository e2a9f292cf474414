"""Times what stage two fits, beside the plain library on the same numbers: so far `reduce.pca`, and its memory.

``python -m benchmarks.stage_two`` prints, ``python -m benchmarks`` writes what `measure` returns. Subject and peer take
turns in one run; the subject reads its matrix from the file, the peer finds it in memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from benchmarks.timing import Row, against
from stages.models.fusions.pca import PcaProjection
from store import Matrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix

_COMPONENTS = 64
_BLOCK = 8192
_ALLOWED = 128 << 20  # bytes that a fit may allocate beyond the libraries
_PEER, _MEMORY = "scikit-learn PCA", "reduce.pca.memory"


def measure(rows: int = 100_000, dim: int = 512, repeats: int = 5, large: int = 1_000_000) -> list[Row]:
    """Run everything.

    Parameters
    ----------
    rows, dim, repeats : int
        Size of the matrix that is timed, and how often.
    large : int
        Rows of the matrix that is fitted in less memory than it takes.

    Returns
    -------
    list of dict
        With name, subject, peer, ratio (subject / peer), subject_value, peer_value, unit (s, MB: less is better), note.
    """
    with tempfile.TemporaryDirectory() as folder:
        return [*_pca(_written(Path(folder) / "m.h5", rows, dim), repeats), *_memory(Path(folder) / "l.h5", large, dim)]


def _written(path: Path, rows: int, dim: int) -> Path:
    """Write float16 rows whose deviations fall slowly from column to column, as those of embeddings do."""
    header = MatrixHeader([f"item-{i:07}" for i in range(rows)], dim, "float16", np.zeros(dim))
    write_matrix(path, header, _drawn(rows, dim))
    return path


def _drawn(rows: int, dim: int) -> Iterator[MatrixBlock]:
    generator = np.random.default_rng(0)
    spread = (0.99 ** np.arange(dim)).astype(np.float32)
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        vectors = (generator.standard_normal((n, dim), dtype=np.float32) * spread + 1).astype(np.float16)
        yield MatrixBlock(vectors, np.ones(n, dtype=bool), np.ones(n, dtype=bool))


def _fit(matrix: Matrix) -> PcaProjection:
    return PcaProjection(min(_COMPONENTS, matrix.dim)).fit_blocks(matrix.iter_blocks(_BLOCK))


def _timed(act: Callable[[], object]) -> float:
    time.sleep(0.2)  # threads of the one before still spin: NumPy and SciPy have linear algebra libraries of their own
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _pca(path: Path, repeats: int) -> list[Row]:
    matrix = open_matrix(path)
    whole = matrix[:]
    ours, peer = _fit(matrix), PCA(min(_COMPONENTS, matrix.dim)).fit(whole)  # warms both up
    if not np.allclose(ours.components_, peer.components_, rtol=0, atol=1e-5):
        raise SystemExit(f"expected the components of {_PEER}, found others")
    seconds: dict[str, list[float]] = {_PEER: [], "reduce.pca": []}
    for _ in range(repeats):
        seconds[_PEER].append(_timed(lambda: PCA(min(_COMPONENTS, matrix.dim)).fit(whole)))
        seconds["reduce.pca"].append(_timed(lambda: _fit(matrix)))
    note = (
        f"{len(matrix)} x {matrix.dim} float16, {_COMPONENTS} components; ours reads the matrix block by block, the "
        "peer has it in memory; components equal to 1e-5"
    )
    return against(_PEER, {name: statistics.median(times) for name, times in seconds.items()}, "s", note)


def _memory(path: Path, rows: int, dim: int) -> list[Row]:
    """Fit in a process of its own, which dies when it allocates more than it may."""
    _written(path, rows, dim)
    command = [sys.executable, "-m", "benchmarks.stage_two", "--fit", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own module)
    if done.returncode:
        raise SystemExit(f"expected a fit in {_ALLOWED >> 20} MB, found: {done.stderr}")
    note = (
        f"{rows} x {dim} float16 on disk, {_COMPONENTS} components; peak of the whole process but for mapped files, of "
        f"which {_ALLOWED >> 20} MB are allowed for the fit; the peer is the size of the matrix"
    )
    return against("the matrix", {"the matrix": rows * dim * 2 / 1e6, _MEMORY: float(done.stdout)}, "MB", note)


def _fit_within_limit(path: Path) -> float:
    """Fit with a limit on private memory and return its peak in MB; pages of mapped files do not count."""
    matrix, peak, ended = open_matrix(path), [0.0], threading.Event()
    _fit_small()
    limit = _private("VmData") + _ALLOWED
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    def watch() -> None:
        while not ended.wait(0.005):
            peak[0] = max(peak[0], _private("RssAnon") / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _fit(matrix)
    finally:
        ended.set()
        watcher.join()
    return peak[0]


def _fit_small() -> None:
    """Let the libraries start their threads and take the buffers that they keep."""
    PcaProjection(2).fit_blocks([np.random.default_rng(0).normal(size=(2000, 64))])


def _private(field: str) -> int:
    """Return a size in bytes as Linux tells it of this process."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main() -> None:
    """Measure and print; with --fit, fit one matrix under the limit and print the peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    path = parser.parse_args().fit
    if path is not None:
        sys.stdout.write(f"{_fit_within_limit(path)}\n")
        return
    for row in measure():
        peer = f"{row['peer']} {row['peer_value']:.4g}"
        sys.stdout.write(f"{row['name']:20}{row['subject_value']:9.4g} {row['unit']:4}{row['ratio']:7.3f} x {peer}\n")


if __name__ == "__main__":
    main()
