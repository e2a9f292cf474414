"""The pages of docs/systems: each name of a catalogue has its anchor, and every anchor that is cited exists."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.fusions.catalog import FUSIONS
from stages.models.heads.catalog import HEADS
from stages.prepare.sources.catalog import SOURCES
from stages.split.params import SplitParams
from tests.pipeline.project import ROOT

_PAGES = ROOT / "docs" / "systems"
_CATALOGUES = {
    "encoders": list(ENCODERS),
    "fusions": list(FUSIONS),
    "heads": list(HEADS),
    "sources": [row.name for row in SOURCES],
    "evaluation": [str(name).lower() for name in SplitParams.model_json_schema()["properties"]["protocol"]["enum"]],
}
_CITED = re.compile(r"(?:docs/|\.\./|\()systems/([\w-]+\.md)(?:#([\w-]+))?")
_LINKED = re.compile(r"\]\(([\w-]+\.md)?#([\w-]+)\)")
# In two words, so that this file does not hold it.
_OLD = re.compile(r"(?<![\w-])systems" + r"\.md\b")


def anchors_of(text: str) -> Counter[str]:
    """Count the anchors of a page as GitHub makes them: of headings, and those that are written out."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return Counter([*slugs, *re.findall(r'<a id="([^"]+)"></a>', text)])


@cache
def _anchors(page: Path) -> Counter[str]:
    return anchors_of(page.read_text("utf-8"))


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@cache
def _texts() -> dict[Path, str]:
    """Return what all files of the project say, those that are not text left out."""
    found = {}
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found[path] = content.decode("utf-8", "replace")
    return found


def test_anchors_are_those_of_github() -> None:
    page = '# A page: of two\n## `P-image`\n### `kmeans_svm`\n<a id="x-ft50"></a> text\n```\n# none\n```\n#### 3 x 3\n'
    assert set(anchors_of(page)) == {"a-page-of-two", "p-image", "kmeans_svm", "x-ft50", "3-x-3"}


@pytest.mark.parametrize(("page", "names"), _CATALOGUES.items(), ids=list(_CATALOGUES))
def test_each_name_of_a_catalogue_has_an_anchor(page: str, names: list[str]) -> None:
    assert names
    assert not set(names) - set(_anchors(_PAGES / f"{page}.md"))


@pytest.mark.parametrize("page", sorted(_PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_no_anchor_stands_twice(page: Path) -> None:
    assert not [name for name, count in _anchors(page).items() if count > 1]


def test_every_anchor_that_is_cited_exists() -> None:
    cited = {
        (path, page, anchor) for path, text in _texts().items() for page, anchor in _CITED.findall(text)
    }  # an empty anchor means the whole page
    assert len(cited) > 100
    lost = [
        f"{path.relative_to(ROOT)}: {page}#{anchor}"
        for path, page, anchor in sorted(cited)
        if not (_PAGES / page).is_file() or (anchor and anchor not in _anchors(_PAGES / page))
    ]
    assert not lost


@pytest.mark.parametrize("page", sorted(_PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_the_pages_link_to_anchors_of_each_other(page: Path) -> None:
    for other, anchor in _LINKED.findall(page.read_text("utf-8")):
        assert anchor in _anchors(page.parent / other if other else page), f"{other or page.name}#{anchor}"


def test_nobody_cites_the_specification_that_is_not_here() -> None:
    assert not [str(path.relative_to(ROOT)) for path, text in _texts().items() if _OLD.search(text)]
