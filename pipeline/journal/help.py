"""How `--help` reads: what to type and no types of Python, paragraphs filled to the width, brackets as written."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

F = TypeVar("F", bound=Callable[..., Any])


class HelpfulCommand(TyperCommand):
    """A command whose help is for people; Typer (0.29) names the type of each flag and argument: `<bool>`, `<str>`."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        _reword(self)

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """Return `--help`, which takes no value."""
        return _plain(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the command: `NAME` for what must be given, `[NAME]` for what may."""
        return [_bare(piece) for piece in super().collect_usage_pieces(ctx)]


class HelpfulGroup(TyperGroup):
    """The same for a group of commands."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        _reword(self)

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """Return `--help`, which takes no value."""
        return _plain(super().get_help_option(ctx))


class App(typer.Typer):
    """A Typer app of such commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=HelpfulGroup, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Make a function a command."""
        return super().command(name, cls=HelpfulCommand, **options)


def _reword(command: HelpfulCommand | HelpfulGroup) -> None:
    command.help = _filled(command.help or "")
    command.epilog = escape(command.epilog or "")
    for each in command.params:
        if isinstance(each, TyperOption):
            each.help = escape(each.help or "")
            _plain(each)
        elif isinstance(each, TyperArgument):
            each.help = escape(each.help or "")
            each.metavar = each.metavar or each.name.upper()
            # Nothing in the column of types: the name of an argument says what to type.
            setattr(each, "display_type_rich", _nothing)  # noqa: B010 (a method of that one argument)


def _plain(option: TyperOption | None) -> TyperOption | None:
    if option is not None and option.is_flag:
        option.metavar = ""
    return option


def _nothing(ctx: object) -> str:  # noqa: ARG001 (the signature of the method)
    return ""


def _filled(text: str) -> str:
    """Return a docstring without its line breaks, which are those of the source; Typer reads brackets as markup."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return escape("\n\n".join(" ".join(each.split()) for each in paragraphs))


def _bare(piece: str) -> str:
    """Return a piece of the usage without the braces that Typer (0.29) puts around what is required."""
    return piece.replace("{", "").replace("}", "")
