"""YAML that is meant to hurt: case 76 of docs/reliability.md; test_params.py has more of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.params.yaml_file import read_yaml
from store.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [MARKER]",
        "a: !!python/object/new:os.mkdir [MARKER]",
        "a: !!python/name:os.mkdir",
        "a: !!python/module:os",
        "? !!python/object/apply:os.mkdir [MARKER]\n: x",
        "a: &a [*a]",
        "a: &a\n  b: *a\n",
        "a: \0",
        "a: !!binary x",
    ],
)
def test_tags_and_circles_are_refused_and_nothing_is_run(tmp_path: Path, text: str) -> None:
    marker = tmp_path / "was-run"
    (tmp_path / "p.yaml").write_text(text.replace("MARKER", str(marker)))
    with pytest.raises(InputError):
        read_yaml(tmp_path / "p.yaml")
    assert not marker.exists()


@pytest.mark.parametrize("text", ["[" * 1_000, "{a: " * 1_000, "- " * 1_000, "? " * 1_000])
def test_deep_documents_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    start = time.monotonic()
    with pytest.raises(InputError):
        read_yaml(tmp_path / "p.yaml")
    assert time.monotonic() - start < 5


def test_a_circle_of_links_and_a_folder_are_no_crash(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name in ("loop.yaml", "."):
        with pytest.raises(OSError, match=r"symbolic links|Is a directory"):  # the command line tells these as they are
            read_yaml(tmp_path / name)
