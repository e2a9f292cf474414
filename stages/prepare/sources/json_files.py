"""Other people's JSON: the entries of a file one by one, and ids, numbers and texts however spelled."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from store.errors import InputError

_CHARACTERS_AT_ONCE = 1 << 20
_LARGEST_ENTRY = 1 << 26
_LONGEST_KEY = 80
_MARK = re.compile(r"[^ \t\n\r]")


class Entry(NamedTuple):
    """One element of a list at the top of a file.

    Attributes
    ----------
    key : str
        Under which the list stands, "" where the file is a list itself.
    where : str
        The place for people, such as "captions_val2014.json:annotations[12]".
    value : Any
        The element, as the module json gives it.
    """

    key: str
    where: str
    value: Any


def json_entries(path: Path) -> Iterator[Entry]:
    """Yield the elements of the file if it is a list, or of every list that an object holds at its top.

    What else stands at the top is read and dropped. One element is in memory at a time.

    Raises
    ------
    InputError
        Where the file is missing, is no JSON in UTF-8, or has an entry larger than 64 million characters.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _JsonFile(path.name, file).entries()
    except OSError as error:
        raise InputError(f"expected a JSON file at {path}, found none ({error.strerror}); fetch it") from error


class _JsonFile:
    """The text of a file as a window that moves over it.

    The standard decoder reads the values, because it refuses deep nesting and keeps half of a surrogate pair as it
    stands, so that its row can be rejected. A parser that names each value by its path needs memory that grows with the
    square of the depth: thirty kilobytes of brackets took two gigabytes of one.
    """

    def __init__(self, name: str, file: TextIO) -> None:
        self._place = name
        self._name = name
        self._file = file
        self._window = ""
        self._at = 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode

    def entries(self) -> Iterator[Entry]:
        """Yield all of them."""
        mark = self._next_mark()
        if mark == "[":
            yield from self._list("")
        elif mark == "{":
            yield from self._object()
        else:
            raise self._wrong("a JSON object or list", mark)
        self._place = self._name
        if self._next_mark():
            raise self._wrong("the end of the file", self._next_mark())

    def _object(self) -> Iterator[Entry]:
        self._at += 1
        if self._closes("}"):
            return
        while True:
            if self._next_mark() != '"':
                raise self._wrong("a key", self._next_mark())
            key = self._value()
            self._place = f"{self._name}:{key[:_LONGEST_KEY]}"
            if self._next_mark() != ":":
                raise self._wrong("a colon", self._next_mark())
            self._at += 1
            if self._next_mark() == "[":
                yield from self._list(key[:_LONGEST_KEY])
            else:
                self._value()
            if not self._goes_on("}"):
                return

    def _list(self, key: str) -> Iterator[Entry]:
        self._at += 1
        if self._closes("]"):
            return
        position = 0
        while True:
            self._place = f"{self._name}:{key}[{position}]"
            yield Entry(key, self._place, self._value())
            position += 1
            if not self._goes_on("]"):
                return

    def _closes(self, mark: str) -> bool:
        closes = self._next_mark() == mark
        self._at += closes
        return closes

    def _goes_on(self, closing: str) -> bool:
        mark = self._next_mark()
        if mark not in (",", closing):
            raise self._wrong(f"a comma or {closing}", mark)
        self._at += 1
        return mark == ","

    def _next_mark(self) -> str:
        """Step over blanks and return the character that follows, "" at the end of the file."""
        while True:
            mark = _MARK.search(self._window, self._at)
            if mark:
                self._at = mark.start()
                return mark.group()
            self._at = len(self._window)
            if self._ended:
                return ""
            self._read(_CHARACTERS_AT_ONCE)

    def _value(self) -> Any:
        """Read one value; the window grows until it holds it whole."""
        while True:
            mark = self._next_mark()
            try:
                value, end = self._decode(self._window, self._at)
                if end < len(self._window) or self._ended:  # a number that ends the window may resume after it
                    self._at = end
                    return value
                fault = ""
            except json.JSONDecodeError as error:
                fault = error.msg
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists thousands deep
                raise self._wrong("JSON", str(error)) from error
            size = len(self._window) - self._at
            if self._ended:
                raise self._wrong("JSON", mark and fault)
            if size >= _LARGEST_ENTRY:
                raise self._wrong(f"JSON in entries below {_LARGEST_ENTRY:,} characters", fault)
            self._read(max(_CHARACTERS_AT_ONCE, size))

    def _read(self, characters: int) -> None:
        try:
            more = self._file.read(characters)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._place}: expected UTF-8 text from here on, found the byte 0x{error.object[error.start]:02X}; "
                "save the file as UTF-8"
            ) from error
        self._ended = not more
        self._window = self._window[self._at :] + more
        self._at = 0

    def _wrong(self, expected: str, found: str) -> InputError:
        what = repr(found) if found else "the end of the file"
        return InputError(f"{self._place}: expected {expected}, found {what}; fetch or export the file again")


def identity(value: Any) -> str | None:
    """Return an id as text: a string exactly as it is, a whole number in decimal form; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return None


def number(value: Any) -> float | None:
    """Return a finite number, spelled as one or as a string; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str | None:
    """Return a text exactly as it is, None where there is none.

    Raises
    ------
    TypeError
        When the value is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__} {str(value)[:40]!r}")
    return value if value.strip() else None


def is_writable(*texts: str | None) -> bool:
    """Tell whether all texts have a UTF-8 form: JSON can spell half of a surrogate pair."""
    try:
        "".join(part or "" for part in texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def id_order(spelled: str) -> tuple[int, int, str]:
    """Return what ids are sorted by: whole numbers by value, then all others as text."""
    plain = spelled.removeprefix("-")
    if plain.isascii() and plain.isdigit() and len(plain) <= 18:
        return 0, int(spelled), spelled
    return 1, 0, spelled
