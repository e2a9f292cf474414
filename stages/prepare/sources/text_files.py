"""Text files of data sets: which names mean data, and their lines, plain or gzipped, no encoding guessed."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from store.errors import InputError

_LEFT_BEHIND = ("._", "~$")
"""How names begin that macOS gives to attributes, and Office to the locks of open files."""


def is_data(name: str, endings: tuple[str, ...]) -> bool:
    """Tell whether a file may be meant by a name that ends in one of the endings, in any case."""
    return name.lower().endswith(endings) and not name.startswith(_LEFT_BEHIND)


def text_lines(path: Path, longest: int) -> Iterator[tuple[int, str]]:
    """Yield each line with its 1-based number, without its end, in memory bounded by the longest.

    Parameters
    ----------
    path : Path
        A text file in UTF-8; an ending in .gz is unpacked on the way.
    longest : int
        The most bytes that a line may have.

    Raises
    ------
    InputError
        When there is no such file; naming the line, where one is longer or no UTF-8; where a gzip file is damaged.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from _lines(path.name, file, longest)
    except FileNotFoundError:
        raise InputError(f"expected the file {path}, found none; fetch it, or mend prepare.path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path.name}: expected a whole gzip file, found a damaged one ({error}); fetch it again"
        ) from error


def _lines(name: str, file: IO[bytes] | gzip.GzipFile, longest: int) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(longest + 2):
        number += 1
        line = line.rstrip(b"\r\n")
        if len(line) > longest:
            raise InputError(
                f"{name}:{number}: expected lines of at most {longest:,} bytes, found a longer one; mend it"
            )
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}:{number}: expected UTF-8, found the byte 0x{line[error.start]:02X} at position "
                f"{error.start + 1}; convert the file"
            ) from error


MAX_CELL = 64 * 1024 * 1024
"""The longest line and cell: what is longer is an unclosed quote, another kind of file, or a bomb."""

_MARKS = {  # the longer mark first: that of utf-16-le begins that of utf-32-le
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decoded_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends, without the byte order mark.

    Raises
    ------
    InputError
        Naming the line, where a byte is not of that encoding or the line has no end; or where a gzipped file is
        damaged.
    """
    try:
        with _open(path) as file:
            yield from _decode_whole(path, file, encoding) if _is_wide(encoding) else _decode(path, file, encoding)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path.name}: expected a whole gzip file, found a damaged one ({error}); fetch it again"
        ) from error


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _is_wide(encoding: str) -> bool:
    """Tell whether a character takes several bytes, so that the byte of a line feed ends no line."""
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _decode(path: Path, file: IO[bytes] | gzip.GzipFile, encoding: str) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_CELL + 1):
        number += 1
        _refuse_endless(path, number, len(line))
        if number == 1:
            _refuse_wide(path, line)
            if codecs.lookup(encoding).name == "utf-8":
                line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as error:
            raise InputError(_not_decodable(path, number, line, error)) from error


def _decode_whole(path: Path, file: IO[bytes] | gzip.GzipFile, encoding: str) -> Iterator[str]:
    number = 0
    try:
        with io.TextIOWrapper(file, encoding, newline="") as text:
            while line := text.readline(MAX_CELL + 1):
                number += 1
                _refuse_endless(path, number, len(line))
                yield line
    except UnicodeError as error:
        raise InputError(
            f"{path.name}:{number + 1}: expected {encoding} text from here on, found other bytes ({error}); "
            "mend prepare.table.encoding"
        ) from error


def _refuse_endless(path: Path, number: int, length: int) -> None:
    if length > MAX_CELL:
        raise InputError(
            f"{path.name}:{number}: expected lines of at most {MAX_CELL:,} characters, found a longer one; "
            "check that this is the table, and that its lines end"
        )


def _refuse_wide(path: Path, line: bytes) -> None:
    """Stop at UTF-16 and UTF-32, which another encoding may take for letters with a NUL beside each."""
    likely = next((name for mark, name in _MARKS.items() if line.startswith(mark)), "")
    for mute, name in ((line[1::2], "utf-16-le"), (line[0::2], "utf-16-be")):
        if len(line) > 4 and mute.count(0) * 10 > len(mute) * 9:
            likely = likely or name
    if likely:
        raise InputError(
            f"{path.name}:1: expected one byte per plain letter, found text that looks like {likely}: "
            "set prepare.table.encoding to that"
        )


def _not_decodable(path: Path, number: int, line: bytes, error: UnicodeDecodeError) -> str:
    return (
        f"{path.name}:{number}: expected {error.encoding} text, found the byte 0x{line[error.start]:02X} "
        f"at position {error.start + 1}; save the table as UTF-8, or set prepare.table.encoding to what it is"
    )
