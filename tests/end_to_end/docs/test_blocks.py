"""Every fenced block of every page is executed by a test, or the page says in italics that it is not tested, and why.

A page with a new block of commands fails here until it has a scene in `typed.py`, a test of its own in `HELD`, or the
reason in its text.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.docs.pages import PAGES, SHELL, all_blocks, blocks
from tests.end_to_end.docs.typed import SCENES
from tests.pipeline.project import ROOT

_TYPED = "tests/end_to_end/docs/test_typed.py::test_"
_DOCS = "tests/end_to_end/docs/test_docs.py::test_"
SCENE_TEST = f"{_TYPED}a_page_is_typed_as_it_stands"
# These take all blocks of their language from the text of any page.
EVERYWHERE = {"yaml": f"{_DOCS}its_params_are_valid", "toml": f"{_DOCS}its_settings_are_valid"}
# How many blocks of a language a page has, and the test that takes them all.
HELD: dict[tuple[str, str], tuple[int, str]] = {
    ("README.md", "python"): (1, f"{_DOCS}the_matrices_open_as_the_readme_says"),
    ("README.md", "text"): (1, f"{_DOCS}the_readme_draws_the_folders_that_are_there"),
    ("docs/cluster.md", "bash"): (3, "tests/parity/test_pages.py::test_a_block_gives_what_one_process_gives"),
    ("docs/data-sets.md", "json"): (1, f"{_DOCS}the_products_of_data_sets_are_read"),
    ("docs/fusions.md", "python"): (1, f"{_TYPED}the_estimators_of_fusions_are_scored"),
    ("docs/matrices.md", "python"): (6, "tests/pipeline/storage/test_export.py::test_the_lines_of_the_docs"),
    ("docs/operations.md", "console"): (3, "tests/end_to_end/docs/test_operations.py::test_its_commands_run"),
    ("docs/results/nlvr.md", "console"): (1, f"{_DOCS}the_tables_of_nlvr_follow_from_its_files"),
    ("docs/sharing.md", "json"): (
        1,
        "tests/end_to_end/docs/test_sharing.py::test_its_policy_gives_each_role_what_the_table_says",
    ),
    ("docs/sharing.md", "python"): (
        1,
        "tests/pipeline/storage/test_sign.py::test_keys_and_lists_of_older_versions_are_converted_as_the_page_says",
    ),
    ("docs/team.md", "console"): (5, "tests/end_to_end/team/test_team.py::test_the_page_is_typed_as_it_stands"),
    **{
        ("docs/your-data.md", language): (count, f"{_TYPED}the_page_about_your_data_leads_to_its_leaderboard")
        for language, count in {"python": 1, "text": 2, "yaml": 2, "console": 3}.items()
    },
}


def problems(page: Path) -> list[str]:
    """Return what of a page nobody executes and nobody excuses."""
    found = []
    for language, count in Counter(block.language for block in all_blocks(page) if not block.reason).items():
        name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
        held = HELD.get((name, language))
        if held and held[0] != count:
            found.append(f"{name}: {count} blocks of {language}; {held[1]} takes {held[0]}")
        elif not held and language not in EVERYWHERE and not (language in SHELL and name in SCENES):
            found.append(f"{name}: no test executes its {language or 'blocks without a language'}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_executed_or_the_page_says_why_not(page: Path) -> None:
    assert not problems(page)


def test_every_test_that_is_named_exists_and_has_something_to_do() -> None:
    for where in {SCENE_TEST, *EVERYWHERE.values(), *(test for _, test in HELD.values())}:
        path, _, name = where.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}, where
    assert all(blocks(page, language) for page, language in HELD)
    assert all(blocks(page, *SHELL) for page in SCENES)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```console\ndvc repro\n```\n", True),
        ("```\ndvc repro\n```\n", True),
        ("    ```console\n    dvc repro\n    ```\n", True),
        ("~~~python\nprint()\n~~~\n", True),
        ("*Takes an hour; not tested.*\n\n```console\ndvc repro\n```\n", False),
        ("*Takes an\nhour; not\ntested.*\n\n```console\ndvc repro\n```\n\nor\n\n```console\ndvc pull\n```\n", False),
        ("*Takes an hour; not tested.*\n\n## Next\n\n```console\ndvc repro\n```\n", True),
        ("*Takes an hour; not tested.*\n\n```console\n# tested\ndvc repro\n```\n", True),
        ("**This** is not tested and **this** neither.\n\n```console\ndvc repro\n```\n", True),
        ("```console\ndvc repro\n```\n\n*Takes an hour; not tested.*\n", True),
        ("```toml\nstore = 'x'\n```\n", False),
    ],
)
def test_a_block_that_nobody_executes_is_found(tmp_path: Path, text: str, wrong: bool) -> None:
    page = tmp_path / "new.md"
    page.write_text(f"# New\n\n{text}", "utf-8")
    assert bool(problems(page)) == wrong


def test_fences_come_in_pairs(tmp_path: Path) -> None:
    page = tmp_path / "new.md"
    for text in ("```console\ndvc repro\n", "```console\ndvc repro\n````\n\n```\n", "```a\n```b\n```\n"):
        page.write_text(text, "utf-8")
        with pytest.raises(AssertionError, match="pairs"):
            list(all_blocks(page))
