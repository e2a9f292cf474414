"""Read and write YAML safely: size and node limits, no tags, line numbers for messages; used by params and recipes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from store.errors import InputError

_MAX_BYTES = 1 << 20
_MAX_NODES = 100_000


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping at the top of a YAML file.

    Raises
    ------
    InputError
        When the file is missing, too large, not YAML, uses tags, repeats a key, or expands without end.
    """
    return parse_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """Return the text of a small UTF-8 file, or raise an `InputError` that says what is wrong with it."""
    try:
        encoded = path.read_bytes()
        if len(encoded) > _MAX_BYTES:
            raise InputError(f"{path}: expected at most {_MAX_BYTES} bytes; found {len(encoded)}; shorten the file.")
        return encoded.decode("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: expected a YAML file; found no file; correct the path, or restore it with `git checkout`."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8; found other bytes ({error.reason}); save it as UTF-8.") from None


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the mapping at the top of a YAML text; `path` names it in messages."""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: expected plain YAML; found: {getattr(error, 'problem', error)}; mend it.") from None
    except RecursionError:
        raise InputError(f"{path}: expected a few levels of nesting; found very many; flatten it.") from None
    _refuse_bombs(content, path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of sections; found {type(content).__name__}; see the README.")
    return content


def _refuse_bombs(content: Any, path: Path) -> None:
    stack, nodes = [content], 0
    while stack:
        node = stack.pop()
        nodes += 1
        if nodes > _MAX_NODES:
            raise InputError(f"{path}: expected at most {_MAX_NODES} values; found more; do not nest aliases.")
        stack += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []


def line_of(text: str, location: Sequence[Any]) -> int:
    """Return the 1-based line of the deepest key of `location` that the YAML text has."""
    node: Any = YAML(typ="rt").load(text)  # its maps know their lines
    line = 0
    for step in location:
        try:
            line = node.lc.data[step][0]
            node = node[step]
        except (KeyError, IndexError, AttributeError, TypeError):
            break
    return line + 1
