"""The fenced blocks of README, CONTRIBUTING and docs: what is typed, what is shown, and what is not tested and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.project import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = {"console", "bash"}
TESTED = "# tested\n"
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
_NOT_TESTED = re.compile(r"(?<![*\w])\*(?!\*)([^*]*\bnot\s+tested\b[^*]*)\*(?!\*)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes
    ----------
    page, line
        The page's path from the repository's root, and the line of the opening fence, from 1.
    language, text
        What the opening fence says, and what stands between the fences.
    reason
        Why no test executes it, or None: the words in italics with "not tested", of the prose before the block in its
        section. A block that begins with `# tested` is executed all the same.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def prompted(self) -> bool:
        """Say whether commands stand behind "$ ", and what they print below them."""
        return re.search(r"^\$ ", self.text, re.MULTILINE) is not None

    @property
    def commands(self) -> str:
        """Return what is typed."""
        lines = self.text.splitlines()
        return "\n".join(line[2:] for line in lines if line.startswith("$ ")) if self.prompted else self.text

    @property
    def shown(self) -> list[str]:
        """Return what the page says that it prints."""
        return [line for line in self.text.splitlines() if self.prompted and not line.startswith("$ ")]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path | str, *languages: str) -> list[Block]:
    """Return the blocks of a page that tests execute, in its order; of some languages, or of all."""
    return [
        each for each in all_blocks(ROOT / page) if not each.reason and each.language in (languages or {each.language})
    ]


def all_blocks(page: Path) -> Iterator[Block]:
    """Yield every fenced block of a page.

    Raises
    ------
    AssertionError
        When fences do not come in pairs.
    """
    text = page.read_text("utf-8")
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    prose, end = "", 0
    for found in _FENCE.finditer(text):
        prose = _section(prose + text[end : found.start()])
        end = found.end()
        marks = _NOT_TESTED.findall(prose)
        reason = " ".join(marks[-1].split()) if marks and not found[4].startswith(TESTED) else None
        yield Block(name, text.count("\n", 0, found.start()) + 1, found[3].strip(), found[4], reason)
        assert not re.search(r"^ *(`{3,}|~{3,})", found[4], re.MULTILINE), f"{name}: fences do not come in pairs"
    assert not re.search(r"^ *(`{3,}|~{3,})", text[end:], re.MULTILINE), f"{name}: fences do not come in pairs"


def _section(prose: str) -> str:
    """Cut what stands before the last heading."""
    return re.split(r"^#+ .*$", prose, flags=re.MULTILINE)[-1]
