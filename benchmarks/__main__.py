"""``python -m benchmarks``: run all benchmarks, print them with their goals, write ``results.json`` and the book."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from benchmarks.book import RESULTS, write_book
from benchmarks.goals import GOALS
from benchmarks.machine import describe
from benchmarks.timing import Row

# What a part imports takes seconds: only the run that asks for it pays.


def _matrix(small: bool) -> list[Row]:
    from benchmarks import matrix

    return matrix.measure(20_000, 64, 3) if small else matrix.measure()


def _store(small: bool) -> list[Row]:
    from benchmarks import store

    return store.measure(2_000, 20_000, 2_000, 100, 2) if small else store.measure()


def _embed(small: bool) -> list[Row]:
    from benchmarks import embed

    return embed.measure(60, 8, 1) if small else embed.measure()


def _stage_two(small: bool) -> list[Row]:
    from benchmarks import stage_two

    return stage_two.measure(5_000, 128, 2, 20_000) if small else stage_two.measure()


def _training(small: bool) -> list[Row]:
    from benchmarks import training

    return training.measure(2_000, 1, 8_000) if small else training.measure()


def _repro(small: bool) -> list[Row]:
    from benchmarks import repro

    return repro.measure(60, 1, 60, 1, light=True) if small else repro.measure()


PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "matrix": _matrix,
    "store": _store,
    "embed": _embed,
    "stage_two": _stage_two,
    "training": _training,
    "repro": _repro,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes; the ratios mean little")
    parser.add_argument("--only", choices=PARTS, help="run and print one part; nothing is written")
    parser.add_argument("--book", action="store_true", help="measure nothing; write docs/benchmarks.md again")
    parser.add_argument(
        "--scale", action="store_true", help="see `python -m benchmarks.scale --help`, and docs/scale.md"
    )
    options, more = parser.parse_known_args()
    if options.scale:
        from benchmarks import scale

        scale.main(more)
        return
    parser.parse_args()  # nothing unknown
    if not options.book:
        rows, seconds = _run([options.only] if options.only else list(PARTS), options.small)
        if options.small or options.only:
            return
        results = {"machine": describe(), "seconds": seconds, "rows": rows}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    write_book()


def _run(names: list[str], small: bool) -> tuple[list[Row], dict[str, float]]:
    """Run parts, printing the rows of each when it is done, and return them with the seconds of each part."""
    rows, seconds = [], {}
    for name in names:
        start = time.perf_counter()
        found = PARTS[name](small)
        seconds[name] = round(time.perf_counter() - start, 1)
        sys.stdout.writelines(f"{_line(row)}\n" for row in found)
        sys.stdout.write(f"{name}: {seconds[name]:.0f} s\n")
        sys.stdout.flush()
        rows += found
    return rows, seconds


def _line(row: Row) -> str:
    value = f"{row['subject_value']:.4g} {row['unit']}"
    goal = GOALS.get(row["name"])
    said = f"goal {goal.told(row)}{'' if goal.met(row) else ': missed'}" if goal else ""
    return f"{row['name']:20} {value:>14}  {row['ratio']:8.4g} x {row['peer']:24} {said}"


if __name__ == "__main__":
    main()
