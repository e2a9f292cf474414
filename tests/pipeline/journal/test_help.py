"""The help of every command: what to type and no types of Python, all that its author wrote, an example that works."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli import app

Path = tuple[str, ...]


def _all(command: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _all(below, (*path, name))


COMMANDS: dict[Path, Any] = dict(_all(get_command(app)))


@functools.cache
def told(path: Path, width: int) -> tuple[str, ...]:
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(width)}, prog_name="diptych")
    assert done.exit_code == 0, done.output
    return tuple(line.rstrip() for line in done.output.splitlines())


def test_all_commands_are_walked() -> None:
    assert {(), ("embed",), ("sweep",), ("store",), ("store", "verify"), ("store", "keygen")} <= set(COMMANDS)


@pytest.mark.parametrize("width", [80, 120])
def test_help_names_no_type_of_python_and_is_in_no_way_broken(width: int) -> None:
    for path in COMMANDS:
        lines = told(path, width)
        said = "\n".join(lines)
        assert not re.search(r"<[^>]*>|\b(bool|str|int|float)\b|\blist\[", said), said
        assert "…" not in said, said
        assert max(map(len, lines)) <= width, said
        usage = next(line for line in lines if "Usage:" in line)
        assert not set("{}<>") & set(usage), usage


@pytest.mark.parametrize("width", [80, 120])
def test_help_is_what_its_author_wrote_filled_to_the_width(width: int) -> None:
    for path, command in COMMANDS.items():
        group = hasattr(command, "commands")
        written = "Embed images and texts once" if not path else command.help if group else command.callback.__doc__
        shown = "\n".join(line.strip() for line in told(path, width))
        for paragraph in inspect.cleandoc(written).split("\n\n"):
            filled = textwrap.wrap(" ".join(paragraph.split()), width - 2, break_on_hyphens=False)
            assert "\n".join(filled) in shown, path


def test_each_argument_and_option_says_what_it_does_and_what_to_type() -> None:
    for path, command in COMMANDS.items():
        said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", "\n".join(told(path, 400))).split())
        for each in command.params:
            assert each.help, f"{path}: {each.name} has no help"
            assert " ".join(each.help.replace("\\[", "[").split()) in said, path
            typed = re.fullmatch(r"[A-Z_=]+|[a-z]+(\|[a-z]+)+", each.metavar or "")
            assert typed or each.is_flag, f"{path}: what is {each.name}?"


def test_what_takes_a_word_has_an_example_and_the_command_takes_it() -> None:
    tried = 0
    for path, command in COMMANDS.items():
        takes = [each for each in command.params if not getattr(each, "is_flag", False) and each.name != "encoder"]
        if not takes or hasattr(command, "commands") or command.hidden:
            continue
        head, _, examples = (command.epilog or "").partition(": ")
        assert head in {"Example", "Examples"}, path
        for example in examples.split("; "):
            words = shlex.split(example)
            assert tuple(words[: len(path) + 1]) == ("diptych", *path)
            command.make_context(" ".join(path), words[len(path) + 1 :])
            tried += 1
        assert examples in " ".join(" ".join(told(path, 120)).split())
    assert tried > 15
