"""``python -m benchmarks``: run all benchmarks, print them with their goals, and write ``benchmarks/results.json``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import embed, matrix, scale, stage_two, store, training
from benchmarks.timing import Row

RESULTS = Path(__file__).parent / "results.json"
# Name -> (whether the ratio should be at least or at most the bound, the bound).
GOALS = {
    "store.write.zarr": (">=", 0.5),
    "store.write.h5": (">=", 0.5),
    "matrix.read.zarr": (">=", 0.8),
    "matrix.read.h5": (">=", 0.8),
    "matrix.gather.zarr": ("<=", 1.5),
    "matrix.gather.h5": ("<=", 1.5),
    "embed.text": (">=", 4.0),
    "embed.text.exact": (">=", 2.3),
    "embed.image": (">=", 4.0),
    "embed.image.exact": (">=", 2.0),
    "embed.image.bound": (">=", 0.9),
    "embed.use": (">=", 1.0),
    "train.epoch": ("<=", 1.2),
    "train.memory": ("<=", 1.2),
    "reduce.pca": ("<=", 1.0),
    "reduce.pca.memory": ("<=", 0.5),
}


# Name -> the most that the subject's own value may be, in its unit.
LIMITS = {"store.lookup": 1.0}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes; the ratios mean little")
    parser.add_argument(
        "--scale", action="store_true", help="see `python -m benchmarks.scale --help`, and docs/scale.md"
    )
    options, more = parser.parse_known_args()
    if options.scale:
        scale.main(more)
        return
    parser.parse_args()  # nothing unknown
    small = options.small
    if small:
        rows = [*matrix.measure(20_000, 64, 3), *store.measure(2_000, 20_000, 2_000, 100, 2), *embed.measure(60, 8, 1)]
        rows += [*stage_two.measure(5_000, 128, 2, 20_000), *training.measure(2_000, 1, 8_000)]
    else:
        rows = [*matrix.measure(), *store.measure(), *embed.measure(), *stage_two.measure(), *training.measure()]
    for row in rows:
        sys.stdout.write(f"{_line(row)}\n")
    if not small:
        RESULTS.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        sys.stdout.write(f"written to {RESULTS}\n")


def _line(row: Row) -> str:
    sense, bound = GOALS.get(row["name"], ("", 0.0))
    met = {"": True, ">=": row["ratio"] >= bound, "<=": row["ratio"] <= bound}[sense]
    goal = f"goal {sense} {bound}{'' if met else ': missed'}" if sense else ""
    if row["name"] in LIMITS:
        limit = LIMITS[row["name"]]
        goal = f"goal <= {limit} {row['unit']}{'' if row['subject_value'] <= limit else ': missed'}"
    value = f"{row['subject_value']:.4g} {row['unit']}"
    return f"{row['name']:20} {value:>14}  {row['ratio']:8.4g} x {row['peer']:24} {goal}"


if __name__ == "__main__":
    main()
