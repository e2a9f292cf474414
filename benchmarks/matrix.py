"""Times the matrix beside its peers, side by side in one run: reading, verifying, and gathering random rows.

``python -m benchmarks.matrix`` prints a table; `measure` returns the rows of it. Subject and peer take turns, so that a
busy machine hurts both, and medians are compared. The files are warm in the page cache: what is timed is the way to the
rows, not the disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks.timing import Row, against
from store import MatrixBlock, MatrixHeader, open_matrix, write_matrix

Action = Callable[[], object]

_SUFFIXES = {"zarr": "zarr.zip", "h5": "h5"}
_BLOCK = 8192
_DTYPE = "float16"
# Older than this, a file's verification is remembered; see `store.trust.verified`.
_SETTLED_SECONDS = 2.5


@dataclass(frozen=True)
class Case:
    """The same vectors as .npy, .zarr.zip and .h5 in one folder."""

    folder: Path
    rows: int
    dim: int

    @property
    def npy(self) -> Path:
        """The vectors as NumPy saves them."""
        return self.folder / "m.npy"

    @property
    def memory(self) -> Path:
        """Where verifications are remembered."""
        return self.folder / "verified"

    @property
    def gigabytes(self) -> float:
        """Size of the vectors alone."""
        return self.rows * self.dim * np.dtype(_DTYPE).itemsize / 1e9

    @property
    def size(self) -> str:
        """For the notes."""
        return f"{self.rows} x {self.dim} {_DTYPE}"

    def matrix(self, kind: str) -> Path:
        """One of the two matrices."""
        return self.folder / f"m.{_SUFFIXES[kind]}"


def write_case(folder: Path, rows: int, dim: int) -> Case:
    """Write the three files and wait until their verification may be remembered."""
    case = Case(folder, rows, dim)
    header = MatrixHeader([f"item-{i:07}" for i in range(rows)], dim, _DTYPE, np.zeros(dim))  # type: ignore[arg-type]
    for kind in _SUFFIXES:
        write_matrix(case.matrix(kind), header, _blocks(rows, dim))
    np.save(case.npy, np.concatenate([block.vectors for block in _blocks(rows, dim)]), allow_pickle=False)
    time.sleep(_SETTLED_SECONDS)
    return case


def _blocks(rows: int, dim: int) -> Iterator[MatrixBlock]:
    generator = np.random.default_rng(0)
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        vectors = generator.standard_normal((n, dim), dtype=np.float32).astype(_DTYPE)
        yield MatrixBlock(vectors, np.ones(n, dtype=bool), np.ones(n, dtype=bool))


def reading(case: Case, repeats: int) -> list[Row]:
    """Read the whole matrix into memory: ours (verification remembered) and the plain libraries, beside np.load."""
    for kind in _SUFFIXES:
        open_matrix(case.matrix(kind), memory=case.memory)
    ways: dict[str, Action] = {
        "np.load": lambda: np.load(case.npy, allow_pickle=False),
        "matrix.read.zarr": lambda: open_matrix(case.matrix("zarr"), memory=case.memory)[:],
        "matrix.read.h5": lambda: open_matrix(case.matrix("h5"), memory=case.memory)[:],
        "peer.read.zarr": lambda: _zarr_whole(case),
        "peer.read.h5": lambda: _h5py_whole(case),
    }
    note = f"{case.size}, open to array, warm cache; ours opened, structure checked, verification remembered"
    return _rates(case, ways, repeats, note)


def verifying(case: Case, repeats: int) -> list[Row]:
    """Verify once per file, beside np.load of the same vectors."""
    ways: dict[str, Action] = {
        "np.load": lambda: np.load(case.npy, allow_pickle=False),
        "matrix.verify.zarr": lambda: open_matrix(case.matrix("zarr")),
        "matrix.verify.h5": lambda: open_matrix(case.matrix("h5")),
    }
    return _rates(case, ways, repeats, f"{case.size}, open and hash everything: once per file")


def gathering(case: Case, repeats: int, batch: int = 4096) -> list[Row]:
    """Gather random rows of an open file: ours and the plain libraries, beside np.memmap."""
    generator = np.random.default_rng(1)
    wanted = [generator.integers(0, case.rows, batch) for _ in range(repeats)]
    plain = np.load(case.npy, mmap_mode="r", allow_pickle=False)
    with ExitStack() as stack:
        vectors = stack.enter_context(h5py.File(case.matrix("h5"), "r"))["vectors"]
        archive = stack.enter_context(zarr.storage.ZipStore(case.matrix("zarr"), mode="r"))
        array = zarr.open_group(archive, mode="r")["vectors"]
        ways: dict[str, Callable[[NDArray[np.int64]], object]] = {
            "np.memmap": lambda rows: np.asarray(plain[rows]),
            "matrix.gather.zarr": open_matrix(case.matrix("zarr"), memory=case.memory).rows,
            "matrix.gather.h5": open_matrix(case.matrix("h5"), memory=case.memory).rows,
        }
        peers: dict[str, Callable[[NDArray[np.int64]], object]] = {
            "peer.gather.zarr": lambda rows: array.oindex[rows],  # type: ignore[union-attr]
            "peer.gather.h5": lambda rows: _h5py_rows(vectors, rows),
        }
        note = f"{batch} random rows of {case.size}, warm cache"
        seconds = _take_turns(ways, wanted)
        # The plain libraries take seconds each: a few turns, beside the same peer.
        slow = _take_turns({"np.memmap": ways["np.memmap"], **peers}, wanted[:3])
    return [*against("np.memmap", seconds, "s", note), *against("np.memmap", slow, "s", note)]


def measure(rows: int = 200_000, dim: int = 512, repeats: int = 15) -> list[Row]:
    """Run everything on matrices of a size.

    Returns
    -------
    list of dict
        With name, subject, peer, ratio (subject / peer), subject_value, peer_value, unit (GB/s: more is better; s: less
        is better) and note.
    """
    with tempfile.TemporaryDirectory() as folder:
        case = write_case(Path(folder), rows, dim)
        return [*reading(case, repeats), *verifying(case, max(3, repeats // 3)), *gathering(case, 2 * repeats)]


def _zarr_whole(case: Case) -> object:
    with zarr.storage.ZipStore(case.matrix("zarr"), mode="r") as archive:
        return zarr.open_group(archive, mode="r")["vectors"][:]  # type: ignore[index]


def _h5py_whole(case: Case) -> object:
    with h5py.File(case.matrix("h5"), "r") as file:
        return file["vectors"][:]


def _h5py_rows(vectors: h5py.Dataset, rows: NDArray[np.int64]) -> NDArray[Any]:
    ordered, back = np.unique(rows, return_inverse=True)  # h5py takes ascending rows only
    found: NDArray[Any] = np.asarray(vectors[ordered])[back]
    return found


def _rates(case: Case, ways: dict[str, Action], repeats: int, note: str) -> list[Row]:
    seconds = _take_turns({name: _needing_nothing(way) for name, way in ways.items()}, [None] * repeats, same=False)
    rates = {name: case.gigabytes / value for name, value in seconds.items()}
    return against("np.load", rates, "GB/s", note)


def _needing_nothing(way: Action) -> Callable[[Any], object]:
    return lambda _: way()


def _take_turns(ways: dict[str, Callable[[Any], object]], inputs: list[Any], *, same: bool = True) -> dict[str, float]:
    """Give the median seconds of each way, after one turn that only warms up and, if asked, compares what they give."""
    first = [way(inputs[0]) for way in ways.values()]
    if same and not all(np.array_equal(first[0], other) for other in first[1:]):  # type: ignore[arg-type]
        raise SystemExit(f"expected equal rows from {', '.join(ways)}, found others")
    del first
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for given in inputs:
        for name, way in ways.items():
            start = time.perf_counter()
            found = way(given)
            seconds[name].append(time.perf_counter() - start)
            del found
    return {name: float(np.median(times)) for name, times in seconds.items()}


def main() -> None:
    """Read the sizes, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    lines = [f"{'name':<22}{'value':>12} {'unit':<6}{'peer':<12}{'its value':>12}{'ratio':>9}"]
    for row in measure(options.rows, options.dim, options.repeats):
        value, peer = f"{row['subject_value']:.5g}", f"{row['peer_value']:.5g}"
        lines.append(f"{row['name']:<22}{value:>12} {row['unit']:<6}{row['peer']:<12}{peer:>12}{row['ratio']:>9.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
