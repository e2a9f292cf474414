"""Small files: JSON, CSV and text are written whole or not at all, and read again where they are there."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from store.files.publish import atomic_output


@contextmanager
def write_lines(path: Path) -> Iterator[TextIO]:
    """Open a text file that appears under its name only when the block ends without an error."""
    with atomic_output(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        yield stream


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with write_lines(path) as stream:
        stream.write(text)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, two spaces and a final line end; NaN is refused with a ValueError."""
    with write_lines(path) as stream:
        json.dump(content, stream, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        stream.write("\n")


def read_small_json(path: Path) -> dict[str, Any]:
    """Read an object that `write_json` wrote, for who can do without; empty where there is none, or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def safe_cell(cell: str) -> str:
    """Keep a spreadsheet from taking a CSV cell for a formula, by the apostrophe that marks text there."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` when the block ends without an error, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(new: Path, path: Path) -> None:
    """Move `new` to `path`; what stood there is put aside first and comes back when the move fails."""
    old = _beside(path)
    if path.exists():
        path.replace(old)
    try:
        new.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Return a hidden name beside `path` that nobody uses, not even what a killed run of the same process id left."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
