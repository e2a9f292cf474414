"""Reads files of word vectors: GloVe's and fastText's text format, plain or gzipped, and fastText's binary one."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stages.models.encoders.protocol import Rows
from store.errors import InputError

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
"""A word of a lower-case text: the only tokens that are ever looked up."""

_WORD_BYTES = re.compile(WORD.pattern.encode())
_BLOCK = 16_384
# The longest line of a sound file: 4,096 numbers of 24 characters, and a token.
_LONGEST_LINE = 128 * 1024
_FASTTEXT_MAGIC = 793_712_314
_GZIP_MAGIC = b"\x1f\x8b"


class WordVectors(Protocol):
    """Words and their vectors."""

    def find(self, word: str) -> Rows | None:
        """Return the vector [D] of a word, None when it is unknown."""


def is_binary(path: Path) -> bool:
    """Return whether the name says that the file is in fastText's binary format."""
    return path.suffix == ".bin"


def read_dim(path: Path) -> int:
    """Return the width of the vectors, from the beginning of the file.

    Raises
    ------
    InputError
        When the file does not begin like one of word vectors.
    """
    if is_binary(path):
        return _binary_dim(path)
    with _open(path) as stream:
        number, line = next(_lines(stream, path), (1, b""))
        header = _header(line)
        dim = header[1] if header else len(line.split(b" ")) - 1
    if dim < 1:
        raise _refused(path, number, "a token and its numbers", ascii(line[:60].decode("utf-8", "replace")))
    return dim


def read_vectors(path: Path) -> WordVectors:
    """Read a whole file into memory.

    Of a text file, only the vectors of what `WORD` matches are read, into 4 bytes a number: 1.2 kB for each such word
    at 300 numbers. Of other lines the numbers are counted. Nothing is cached beside the file.

    Raises
    ------
    InputError
        When a line is not a token and as many finite numbers as the first line says, or the file is cut; it names the
        line.
    """
    return _read_binary(path) if is_binary(path) else _read_text(path)


class _Table:
    """Vectors in blocks, so that reading never copies what it has read."""

    def __init__(self, dim: int) -> None:
        self._dim, self._rows, self._blocks = dim, dict[str, int](), list[Rows]()

    def __contains__(self, word: str) -> bool:
        return word in self._rows

    def add(self, word: str, vector: list[float]) -> Rows:
        """Keep a vector; returns what was kept, for its check."""
        block, row = divmod(len(self._rows), _BLOCK)
        if row == 0:
            self._blocks.append(np.empty((_BLOCK, self._dim), dtype=np.float32))
        kept: Rows = self._blocks[block][row]
        kept[:] = vector
        self._rows[word] = len(self._rows)
        return kept

    def find(self, word: str) -> Rows | None:
        row = self._rows.get(word)
        if row is None:
            return None
        vector: Rows = self._blocks[row // _BLOCK][row % _BLOCK]
        return vector


def _read_text(path: Path) -> _Table:
    dim, promised, count = read_dim(path), None, 0
    table = _Table(dim)
    with _open(path) as stream, np.errstate(over="ignore"):
        for number, line in _lines(stream, path):
            header = _header(line) if number == 1 else None
            if header:
                promised = header[0]
                continue
            _add_line(table, line, dim, path, number)
            count += 1
    if promised not in (None, count):
        raise _refused(path, 1, f"as many vectors as this line says, {promised}", str(count))
    return table


def _add_line(table: _Table, line: bytes, dim: int, path: Path, number: int) -> None:
    # From the right: GloVe's largest file has tokens with spaces in them.
    token, *numbers = line.rsplit(b" ", dim)
    if len(numbers) != dim or not token:
        raise _refused(path, number, f"a token and {dim} numbers", f"{len(line.split(b' ')) - 1} after the token")
    if not _WORD_BYTES.fullmatch(token):
        return
    word = token.decode("ascii")
    if word in table:  # the first of a token's lines counts
        return
    try:
        finite = bool(np.isfinite(table.add(word, [float(each) for each in numbers])).all())
    except ValueError as error:
        raise _refused(path, number, f"{dim} numbers", str(error)) from None
    if not finite:
        raise _refused(path, number, f"{dim} finite numbers", "one that is not, or that float32 cannot hold")


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the count and the width of a fastText header; None when the line is none, as in GloVe's files."""
    fields = line.split(b" ")
    if len(fields) == 2 and all(each.isdigit() for each in fields):
        return int(fields[0]), int(fields[1])
    return None


def _lines(stream: gzip.GzipFile | BufferedReader, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers from 1, without the blanks and line ends behind them."""
    number = 0
    try:
        while line := stream.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise _refused(path, number, f"a line of less than {_LONGEST_LINE} bytes", "a longer one")
            yield number, line.rstrip(b" \r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, number + 1, "more of a sound file", f"{type(error).__name__}: {error}") from error


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as stream:
        gzipped = stream.read(2) == _GZIP_MAGIC
    return gzip.open(path) if gzipped else path.open("rb")


def _refused(path: Path, number: int, expected: str, found: str) -> InputError:
    return InputError(
        f"model: expected {expected} in line {number} of {path.name!r}; found {found}; take a GloVe or fastText file "
        "in text format (token, then its numbers, with single spaces between), as it was published."
    )


def _binary_dim(path: Path) -> int:
    with path.open("rb") as stream:
        beginning = stream.read(12)
    if len(beginning) == 12:
        magic, _, dim = struct.unpack("=3i", beginning)
        if magic == _FASTTEXT_MAGIC and dim > 0:
            return int(dim)
    raise InputError(
        f"model: expected fastText's binary format in {path.name!r}, because its name ends in .bin; found another "
        "beginning; take the file that fastText wrote, or a text file of vectors (.vec, .txt)."
    )


class _Subwords:
    """A fastText model, which knows character n-grams: a word that it never saw gets the mean of its n-grams."""

    def __init__(self, vectors: Any) -> None:
        self._vectors = vectors

    def find(self, word: str) -> Rows | None:
        if word not in self._vectors.key_to_index and self._vectors.bucket == 0:
            return None
        vector: Rows = self._vectors.get_vector(word)
        return vector if vector.any() else None  # too short to have an n-gram


def _read_binary(path: Path) -> _Subwords:
    from gensim.models.fasttext import load_facebook_vectors  # reads plain structures; nothing in it is pickled

    try:
        return _Subwords(load_facebook_vectors(str(path)))
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise InputError(
            f"model: expected a whole model in fastText's binary format in {path.name!r}; found "
            f"{type(error).__name__}: {str(error)[:200]}; take the file that fastText wrote."
        ) from error
