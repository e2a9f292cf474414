"""Reads the lists of WebVision: synsets as classes, and the rows of the pictures, twice and never whole."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.prepare.sources.mistakes import Mistakes
from stages.prepare.sources.published.webvision.layout import LONGEST_LINE, ORIGINS, FileList, Layout
from stages.prepare.sources.text_files import text_lines
from store.errors import InputError

_QUERY = re.compile(r"(?:^|/)q0*(\d+)/")
_NAME_BITS = 48


class Synset(NamedTuple):
    """A class: its WordNet id, and its name, which no other class bears."""

    wnid: str
    name: str


class Row(NamedTuple):
    """A line of a list: path from the root, stem, class, origin if the path tells, line of the list of metadata."""

    image: str
    stem: str
    label: int
    origin: str | None
    entry: str | None
    official: bool
    where: str


def read_synsets(layout: Layout) -> tuple[Synset, ...]:
    """Read the classes in their order, each named by the first of its names.

    Synsets that share their first name, such as the bird and the machine, have the WordNet id added in brackets.

    Raises
    ------
    InputError
        When a line has no WordNet id, or one stands twice.
    """
    names = _names(layout.names)
    order = list(names) if layout.order == layout.names else list(_names(layout.order))
    firsts = [names.get(wnid) or wnid for wnid in order]
    bearers = Counter(firsts)
    return tuple(
        Synset(wnid, first if bearers[first] == 1 else f"{first} ({wnid})")
        for wnid, first in zip(order, firsts, strict=True)
    )


def _names(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, line in text_lines(path, LONGEST_LINE):
        wnid, rest = (*line.split(maxsplit=1), "", "")[:2]
        if not wnid or wnid in names:
            raise InputError(
                f"{path.name}:{number}: expected a WordNet id that stands nowhere else, found {wnid!r}; mend the line"
            )
        names[wnid] = rest.partition(",")[0].strip()
    if not names:
        raise InputError(f"{path.name}:1: expected synsets, found an empty file; fetch it again")
    return names


@dataclass(frozen=True)
class Survey:
    """What a first pass over the lists has found.

    Attributes
    ----------
    rows : int
        Lines, those of classes beyond the limit included.
    listed : int
        Lines of the classes within the limit.
    per_class : ndarray of int64, [K]
        Distinct pictures of each class, those of the official list not counted.
    official : ndarray of int64, [K]
        The same of the official list.
    repeated : frozenset of int
        The digests of the few (class, stem) that may stand on more than one line.
    misplaced : int
        Rows in the folder of a query that belongs to another class.
    """

    rows: int
    listed: int
    per_class: np.ndarray
    official: np.ndarray
    repeated: frozenset[int]
    misplaced: int


def digest(row: Row, classes: int) -> int:
    """Digest class, list and stem of a row into 64 bits, the class in the highest."""
    name = int.from_bytes(hashlib.blake2b(row.stem.encode(), digest_size=_NAME_BITS // 8).digest(), "little")
    return (row.label + classes * row.official) << _NAME_BITS | name


def survey(layout: Layout, synsets: tuple[Synset, ...], limit: int) -> Survey:
    """Read all lists once, keeping eight bytes per row of the first `limit` classes; stop at what is wrong with them.

    Raises
    ------
    InputError
        With up to twenty mistakes, each naming its line: no path or class, a class out of range or of another folder,
        lists of unequal length; or where all classes are one too high.
    """
    mistakes = Mistakes()
    digests = array("Q")
    queries = _query_classes(layout.queries)
    rows = placed = off_by_one = misplaced = 0
    for row in read_rows(layout, synsets, mistakes):
        rows += 1
        if row.label < limit:
            digests.append(digest(row, len(synsets)))
        query = _QUERY.search(row.image)
        expected = queries.get(int(query[1])) if query and not row.official else None
        if expected is not None:
            placed += 1
            misplaced += expected != row.label
            off_by_one += expected == row.label - 1
        if mistakes.full:
            break
    mistakes.raise_any()
    if placed and off_by_one == placed:
        raise InputError(
            f"{layout.lists[0].path.name}: expected classes that count from 0, found each one higher than "
            "queries_synsets_map.txt says; subtract 1"
        )
    return _survey(rows, digests, len(synsets), misplaced)


def _survey(rows: int, digests: array[int], classes: int, misplaced: int) -> Survey:
    """Count by sorting in place: with 16 million rows each copy would take 128 MB more."""
    ordered = np.frombuffer(digests, np.uint64) if digests else np.zeros(0, np.uint64)
    ordered.sort()
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    starts = np.arange(2 * classes, dtype=np.uint64) << np.uint64(_NAME_BITS)
    lines = np.diff(np.searchsorted(ordered, starts), append=len(ordered))
    counts = lines - np.bincount((again >> np.uint64(_NAME_BITS)).astype(np.int64), minlength=2 * classes)
    return Survey(
        rows, len(digests), counts[:classes], counts[classes:], frozenset(np.unique(again).tolist()), misplaced
    )


def _query_classes(path: Path) -> Mapping[int, int]:
    """Return the class, from 0, of each query; the file counts classes from 1."""
    if not path.is_file():
        return {}
    classes: dict[int, int] = {}
    for number, line in text_lines(path, LONGEST_LINE):
        words = line.split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            raise InputError(f"{path.name}:{number}: expected a query and its class, found {line!r}; mend the line")
        classes[int(words[0])] = int(words[1]) - 1
    return classes


def read_rows(layout: Layout, synsets: tuple[Synset, ...], mistakes: Mistakes) -> Iterator[Row]:
    """Yield the rows of all lists in order; lines that are wrong go to `mistakes` instead."""
    for each in layout.lists:
        for number, line, entry in _aligned(each, mistakes):
            where = f"{each.path.name}:{number}"
            row = _row(each, line, entry, where)
            fault = "expected a path and a class" if row is None else _fault(row, layout, each, synsets)
            if row is None or fault:
                mistakes.add(where, f"{fault}, found {line!r}; mend the line")
            else:
                yield row


def _aligned(files: FileList, mistakes: Mistakes) -> Iterator[tuple[int, str, str | None]]:
    if files.entries is None:
        yield from ((number, line, None) for number, line in text_lines(files.path, LONGEST_LINE))
        return
    pairs = zip_longest(text_lines(files.path, LONGEST_LINE), text_lines(files.entries, LONGEST_LINE))
    for number, (line, entry) in enumerate(pairs, start=1):
        if line is None or entry is None:
            mistakes.add(
                f"{(files.path if line is None else files.entries).name}:{number}",
                f"expected as many lines as {(files.entries if line is None else files.path).name} has, found the "
                "end; fetch both again",
            )
            return
        yield number, line[1], entry[1]


def _row(files: FileList, line: str, entry: str | None, where: str) -> Row | None:
    path, _, label = line.rpartition(" ")
    name = path.rpartition("/")[2]
    if not name or not label.isdecimal():
        return None
    folder = path.partition("/")[0]
    origin = folder if folder in ORIGINS and not files.below else None
    stem = name.rpartition(".")[0] or name
    return Row(files.below + path, stem, int(label), origin, entry, files.official, where)


def _fault(row: Row, layout: Layout, files: FileList, synsets: tuple[Synset, ...]) -> str:
    if row.label >= len(synsets):
        return f"expected a class from 0 to {len(synsets) - 1}, the lines of {layout.order.name}"
    folder = row.image.removeprefix(files.below).partition("/")[0]
    if layout.kind != "original" and not row.official and folder != synsets[row.label].wnid:
        return f"expected the folder {synsets[row.label].wnid} of class {row.label}"
    return ""
