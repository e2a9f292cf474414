"""Yields the lines of a text file, plain or gzipped, and never guesses at its encoding; `formats` parses them."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stages.errors import InputError

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8"}


def decoded_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines with their ends, without the byte order mark.

    Raises
    ------
    InputError
        Naming the line, where a byte is not of that encoding; or where a gzipped file is damaged.
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
    for number, line in enumerate(file, start=1):
        if number == 1 and codecs.lookup(encoding).name == "utf-8":
            line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901 (the same line, without its mark)
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as error:
            raise InputError(_not_decodable(path, number, line, error)) from error


def _decode_whole(path: Path, file: IO[bytes] | gzip.GzipFile, encoding: str) -> Iterator[str]:
    number = 0
    try:
        with io.TextIOWrapper(file, encoding, newline="") as text:
            for line in text:
                number += 1
                yield line
    except UnicodeError as error:
        raise InputError(
            f"{path.name}:{number + 1}: expected {encoding} text from here on, found other bytes ({error}); "
            "mend prepare.table.encoding"
        ) from error


def _not_decodable(path: Path, number: int, line: bytes, error: UnicodeDecodeError) -> str:
    likely = next((name for mark, name in _MARKS.items() if number == 1 and line.startswith(mark)), "")
    remedy = (
        f"it looks like {likely}: set prepare.table.encoding to that"
        if likely
        else ("save the table as UTF-8, or set prepare.table.encoding to what it is")
    )
    return (
        f"{path.name}:{number}: expected {error.encoding} text, found the byte 0x{line[error.start]:02X} "
        f"at position {error.start + 1}; {remedy}"
    )
