"""The source `nlvr`: sentences about synthetic pictures, a row for each picture; docs/systems/sources.md#nlvr."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from stages.prepare.params import PrepareParams
from stages.prepare.sources.protocol import Folders, Reject
from store.errors import InputError
from store.items.records import Item, ManifestInfo

PERMUTATIONS = 6
"""Each example has so many pictures: its three boxes in every order."""

_META = ("directory", "identifier", "permutation", "truth")
_IDENTIFIER = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
_DIRECTORY = re.compile(r"[0-9]{1,18}")
_MOST_BYTES = 4 * 1024 * 1024  # of one line; the longest that was published has a few thousand


class Example(NamedTuple):
    """One line of the file: a sentence, and where its six pictures are."""

    where: str
    sentence: str
    truth: str
    identifier: str
    directory: str


class NlvrSource:
    """Reads the examples twice, as a stream: once for the sentences, which are the classes, once for the rows.

    Parameters
    ----------
    params : PrepareParams
        `folder` holds `nlvr/<subset>/` or `<subset>/`, `nlvr.subset` says which one is read.
    folders : Folders
        Not used: the set brings its own pictures.

    Raises
    ------
    InputError
        When there is no such file; or, with its line, for what is no JSON object, for an identifier that comes twice,
        or when no line is an example.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._subset = params.nlvr.subset
        self._limit = params.limit
        home = _find_subset(params.folder, self._subset)
        self._path = home / f"{self._subset}.json"
        self.files = (self._path,)
        self.images = home / "images"
        if not self.images.is_dir():
            raise InputError(f"expected the pictures below {self.images}, found no such folder; fetch them as well")
        self.expected, classes = self._look()
        self.notes: tuple[str, ...] = (
            "a row for each of the six orders of the boxes; the class is the sentence, and whether it is true of the "
            "picture stands in meta.truth",
        )
        self.info = ManifestInfo(
            source="nlvr",
            root=str(self.images),
            task="multiclass",
            classes=classes,
            fields=("caption",),
            meta=_META,
        )

    def items(self) -> Iterator[Item | Reject]:
        """Yield six rows for each example, and one reject for each line that is none."""
        yield from islice(self._all_items(), self._limit)

    def _all_items(self) -> Iterator[Item | Reject]:
        for entry in self._entries():
            if isinstance(entry, Reject):
                yield entry
            else:
                yield from (self._item(entry, permutation) for permutation in range(PERMUTATIONS))

    def _item(self, example: Example, permutation: int) -> Item:
        identity = f"{example.identifier}-{permutation}"
        return Item(
            id=identity,
            image=f"{example.directory}/{self._subset}-{identity}.png",
            texts={"caption": example.sentence},
            labels=(example.sentence,),
            target=None,
            group=example.identifier.partition("-")[0],
            meta={
                "directory": example.directory,
                "identifier": example.identifier,
                "permutation": str(permutation),
                "truth": example.truth,
            },
            where=example.where,
        )

    def _look(self) -> tuple[int, tuple[str, ...]]:
        """Count the rows and gather the sentences, as far as the limit reaches; identifiers must differ."""
        seen: dict[str, str] = {}
        sentences: set[str] = set()
        rows = 0
        for entry in self._entries():
            if self._limit is not None and rows >= self._limit:
                break
            rows += 1 if isinstance(entry, Reject) else PERMUTATIONS
            if isinstance(entry, Example):
                _refuse_repeated(entry, seen)
                sentences.add(entry.sentence)
        if not sentences:
            raise InputError(f"{self._path}: expected examples, one JSON object a line, found none; check prepare.path")
        return min(rows, self._limit or rows), tuple(sorted(sentences))

    def _entries(self) -> Iterator[Example | Reject]:
        for line, text in _lines(self._path):
            where = f"{self._path.name}:{line}"
            yield _parse(where, _json_object(where, text))


def _find_subset(folder: Path, subset: str) -> Path:
    """Return the folder of the subset, below `nlvr/` as the repository of the data set has it, or right below."""
    for home in (folder / "nlvr" / subset, folder / subset):
        if (home / f"{subset}.json").is_file():
            return home
    raise InputError(
        f"expected {subset}/{subset}.json in {folder / 'nlvr'} or in {folder}, found neither; mend prepare.path or "
        "prepare.nlvr.subset"
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_MOST_BYTES + 1):
            number += 1
            if len(line) > _MOST_BYTES:
                raise InputError(
                    f"{path.name}:{number}: expected one example a line, found a line of more than {_MOST_BYTES:,} "
                    "bytes; fetch the file again"
                )
            if line.strip():
                yield number, line


def _json_object(where: str, text: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected a JSON object in UTF-8, found this: {error}; mend the line") from error
    if not isinstance(parsed, dict):
        raise InputError(f"{where}: expected a JSON object, found a {type(parsed).__name__}; mend the line")
    return parsed


def _parse(where: str, record: dict[str, Any]) -> Example | Reject:
    values = [record.get(key) for key in ("sentence", "label", "identifier", "directory")]
    sentence, truth, identifier, directory = (value if isinstance(value, str) else "" for value in values)
    found = [f"found {value!r:.80}" for value in values]
    if not _IDENTIFIER.fullmatch(identifier):
        return Reject("", where, "bad-record", f"expected an identifier such as '12-3', {found[2]}")
    if not _DIRECTORY.fullmatch(directory):
        return Reject(identifier, where, "bad-record", f"expected a directory such as '4', {found[3]}")
    if truth not in ("true", "false"):
        return Reject(identifier, where, "bad-record", f"expected the label 'true' or 'false', {found[1]}")
    if not sentence.strip():
        return Reject(identifier, where, "bad-record", f"expected a sentence, {found[0]}")
    if not _is_text(sentence):
        return Reject(identifier, where, "bad-text", "the sentence holds half of a surrogate pair")
    return Example(where, sentence, truth, identifier, directory)


def _refuse_repeated(example: Example, seen: dict[str, str]) -> None:
    first = seen.setdefault(example.identifier, example.where)
    if first != example.where:
        raise InputError(
            f"{example.where}: expected distinct identifiers, found the duplicate identifier {example.identifier!r} of "
            f"{first}; remove one of the two lines"
        )


def _is_text(sentence: str) -> bool:
    """Tell whether it has a UTF-8 form: JSON can spell half of a surrogate pair."""
    try:
        sentence.encode()
    except UnicodeEncodeError:
        return False
    return True
