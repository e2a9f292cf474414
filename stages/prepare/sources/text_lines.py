"""Yields the numbered lines of a published list or dump, plain or gzipped, none longer than a cap."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stages.errors import InputError


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
