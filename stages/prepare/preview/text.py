"""Puts a preview into lines for a terminal: what a person should look at before a run of hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import accumulate
from pathlib import Path

import numpy as np

from stages.prepare.preview.look import Measures, Preview
from stages.prepare.summary import PrepareSummary
from store.files.reading import printable

LONG_TEXT = 256
"""Words beyond which the usual text encoders read no further."""

_TOP, _BAR, _NAME = 20, 30, 32
_INDENT = " " * 12
_RARE, _TIMES = 100, 10


def preview_lines(found: Preview, target: Path) -> Iterator[str]:
    """Yield the lines.

    Parameters
    ----------
    found : Preview
        What the dry run found.
    target : Path
        The folder that a real run would write.
    """
    summary, measures = found.summary, found.measures
    only = "" if found.rows is None else f", the first {found.rows:,} rows only"
    yield f"dry run of {summary.source} ({summary.task}){only}; {target} is left as it is"
    yield ""
    yield from _rows(found)
    yield _row("missing", ", ".join(_shares(summary.missing, summary.kept)))
    yield _row(
        "repeated", ", ".join(_shares(summary.duplicated, summary.kept)) + " have the content of an earlier item"
    )
    yield _row("groups", f"{summary.groups:,}")
    yield from (_row("texts", _lengths(name, words)) for name, words in measures.words.items())
    if measures.modes:
        yield _row("pictures", _sizes(measures, summary.animated))
    yield from _targets(summary, measures) if summary.task == "regression" else _labels(summary, measures)
    yield from (_row("note", printable(note)) for note in summary.notes)
    yield ""
    yield _row("would write", f"{target}: {summary.kept:,} items, {found.bytes_written / 1e6:.1f} MB")
    yield _row("look at", str(found.sheet))


def _row(name: str, told: str) -> str:
    return f"{name:<{len(_INDENT)}}{told}"


def _rows(found: Preview) -> Iterator[str]:
    summary = found.summary
    rejected = sum(summary.rejected.values())
    yield _row("rows", f"{summary.read:,} read, {summary.kept:,} kept, {rejected:,} rejected")
    if rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.rejected.items())
        yield _row("rejected", f"{reasons}; all in {found.rejects}, the first:")
        yield from (f"{_INDENT}{line}" for line in found.measures.rejects)
    if summary.skipped:
        told = ", ".join(f"{count:,} {printable(reason)}" for reason, count in summary.skipped.items())
        yield _row("left out", f"{told}, by the rules of the data set")


def _shares(counts: Mapping[str, int], total: int) -> Iterator[str]:
    for name, count in counts.items():
        yield f"{name} {count:,} ({count / max(1, total):.1%})"


def _lengths(name: str, words: Counter[int]) -> str:
    total = words.total()
    long = sum(count for length, count in words.items() if length > LONG_TEXT)
    return (
        f"{name}: {total:,}, median {_median(words)} words, longest {max(words):,}, "
        f"over {LONG_TEXT} words {long / total:.1%}"
    )


def _sizes(measures: Measures, animated: int) -> str:
    wide, high = measures.widths, measures.heights
    modes = ", ".join(f"{name} {count:,}" for name, count in measures.modes.most_common())
    frames = f"; {animated:,} with more frames than the first" if animated else ""
    return (
        f"{measures.modes.total():,}, median {_median(wide)} x {_median(high)} pixels, "
        f"width {min(wide)} to {max(wide)}, height {min(high)} to {max(high)}; modes {modes}{frames}"
    )


def _median(counts: Counter[int]) -> int:
    """Return the lower median of values that are given with their counts."""
    values = sorted(counts)
    half = (counts.total() + 1) // 2
    return next(
        value for value, seen in zip(values, accumulate(counts[v] for v in values), strict=True) if seen >= half
    )


def _targets(summary: PrepareSummary, measures: Measures) -> Iterator[str]:
    yield _row("targets", f"{summary.labelled:,} items with a value, {summary.unlabelled:,} without")
    if measures.targets:
        low, first, middle, third, high = np.percentile(np.frombuffer(measures.targets), [0, 25, 50, 75, 100])
        yield f"{_INDENT}min {low:g}, quartiles {first:g} {middle:g} {third:g}, max {high:g}"


def _labels(summary: PrepareSummary, measures: Measures) -> Iterator[str]:
    counts = Counter(summary.labels)
    present = [count for count in counts.values() if count]
    mean = counts.total() / max(1, summary.labelled)
    several = f", {mean:.1f} per item, at most {measures.most_labels}" if summary.task == "multilabel" else ""
    yield _row(
        "labels",
        f"{len(counts):,} classes, {summary.labelled:,} items labelled{several}; {summary.unlabelled:,} without",
    )
    most = max(present, default=1)
    for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_TOP]:
        bar = "█" * max(1 if count else 0, round(_BAR * count / most))
        yield f"{_INDENT}{_short(name):<{_NAME}} {count:>9,} {bar}"
    if len(counts) > _TOP:
        yield f"{_INDENT}and {len(counts) - _TOP:,} more"
    yield from _rare(counts)


def _rare(counts: Counter[str]) -> Iterator[str]:
    single = sorted(name for name, count in counts.items() if count == 1)
    if single:
        some = ", ".join(map(_short, single[:5]))
        yield _row("rare", f"{len(single):,} classes have a single row: {some}{', …' if len(single) > 5 else ''}")
    if never := sum(count == 0 for count in counts.values()):
        yield _row("rare", f"{never:,} declared classes have no row")
    for name, near in _misspelt(counts):
        yield _row(
            "misspelt?", f"{_short(name)} ({counts[name]:,} rows) is near {_short(near)} ({counts[near]:,} rows)"
        )


def _misspelt(counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield rare classes whose names are near that of a class with many more rows."""
    often = [name for name, count in counts.most_common(5 * _RARE) if count >= _TIMES]
    rare = [name for name, count in sorted(counts.items()) if 0 < count <= 2 and len(name) > 3][:_RARE]
    for name in rare:
        near = next(
            (each for each in get_close_matches(name, often, 1, 0.8) if counts[each] >= _TIMES * counts[name]), None
        )
        if near is not None:
            yield name, near


def _short(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}…"
