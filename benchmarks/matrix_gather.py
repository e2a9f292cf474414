"""Times random gathers: `Matrix.rows` for both formats, beside numpy.memmap, h5py and zarr, all in one run.

Run it from the repository: ``python benchmarks/matrix_gather.py --rows 200000 --dim 512 --batch 256 4096``.
The files are warm in the page cache: what is timed is the way to the rows, not the disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import zarr

from store import MatrixBlock, MatrixHeader, open_matrix, write_matrix

Gather = Callable[[np.ndarray], np.ndarray]
BLOCK = 8192


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 4096, 65_536], help="rows per gather")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--slow", action="store_true", help="also time gathers through h5py and zarr themselves")
    return parser.parse_args()


def blocks(rows: int, dim: int, dtype: str) -> Iterator[MatrixBlock]:
    """Stream random vectors, all usable."""
    generator = np.random.default_rng(0)
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        vectors = generator.standard_normal((n, dim), dtype=np.float32).astype(dtype)
        yield MatrixBlock(vectors, np.ones(n, dtype=bool), np.ones(n, dtype=bool))


def write_all(folder: Path, options: argparse.Namespace) -> None:
    """Write the same vectors as .npy, .zarr.zip and .h5, and report how long that took."""
    missing = np.zeros(options.dim)
    header = MatrixHeader([str(i) for i in range(options.rows)], options.dim, options.dtype, missing)
    for name in ("m.zarr.zip", "m.h5"):
        start = time.perf_counter()
        write_matrix(folder / name, header, blocks(options.rows, options.dim, options.dtype))
        written = time.perf_counter() - start
        start = time.perf_counter()
        open_matrix(folder / name)
        verified = time.perf_counter() - start
        report(f"{name:<12} written in {written:.2f} s, opened and verified in {verified:.2f} s")
    shape = (options.rows, options.dim)
    plain = np.lib.format.open_memmap(folder / "m.npy", mode="w+", dtype=options.dtype, shape=shape)
    plain[:] = open_matrix(folder / "m.h5", verify=False).block(0, options.rows)
    plain.flush()


def gathers(folder: Path, slow: bool) -> dict[str, Gather]:
    """Give each way to gather rows, by name; the first is what the others are compared with."""
    plain = np.load(folder / "m.npy", mmap_mode="r", allow_pickle=False)
    found: dict[str, Gather] = {
        "numpy.memmap": lambda rows: np.asarray(plain[rows]),
        "ours, zarr.zip": open_matrix(folder / "m.zarr.zip", verify=False).rows,
        "ours, h5": open_matrix(folder / "m.h5", verify=False).rows,
    }
    if slow:
        vectors = h5py.File(folder / "m.h5", "r")["vectors"]
        archive = zarr.open_group(zarr.storage.ZipStore(folder / "m.zarr.zip", mode="r"), mode="r")["vectors"]

        def from_h5py(rows: np.ndarray) -> np.ndarray:
            ordered, back = np.unique(rows, return_inverse=True)  # h5py takes ascending rows only
            return np.asarray(vectors[ordered])[back]

        found["h5py"] = from_h5py
        found["zarr"] = lambda rows: np.asarray(archive.oindex[rows])
    return found


def time_gathers(ways: dict[str, Gather], batch: int, options: argparse.Namespace) -> dict[str, float]:
    """Give the median seconds of a gather; the ways take turns, so that a busy machine hurts all alike."""
    generator = np.random.default_rng(1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        rows = generator.integers(0, options.rows, batch)
        expected = None
        for name, gather in ways.items():
            start = time.perf_counter()
            found = gather(rows)
            seconds[name].append(time.perf_counter() - start)
            expected = found if expected is None else expected
            if not np.array_equal(found, expected):
                raise SystemExit(f"{name} gave other rows than numpy.memmap")
    return {name: float(np.median(times)) for name, times in seconds.items()}


def report(line: str) -> None:
    """Write one line of the result."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Write the files, time the gathers, print a table."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder), options)
        ways = gathers(Path(folder), options.slow)
        report(f"\n{'gather of':>10}  {'way':<16}{'median ms':>12}{'x memmap':>10}")
        for batch in options.batch:
            times = time_gathers(ways, batch, options)
            for name, seconds in times.items():
                ratio = seconds / times["numpy.memmap"]
                report(f"{batch:>10}  {name:<16}{seconds * 1000:>12.3f}{ratio:>10.2f}")


if __name__ == "__main__":
    main()
