"""`diptych store export` and `import` as a person types them: what they print, where paths lie, how they exit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.project import call, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose captions and pictures are in its store."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    for command in (["prepare"], ["embed"]):
        done = call(folder, "diptych", *command)
        assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


def test_from_one_store_to_another_through_an_archive(project: Path, tmp_path: Path) -> None:
    # A relative path is taken from where the person stands.
    done = call(project / "data", "diptych", "store", "export", "all.zip")
    assert done.returncode == 0, done.stderr
    assert "segments of 2 encoders" in done.stdout
    archive = project / "data" / "all.zip"
    assert archive.is_file()
    mine = str(tmp_path / "mine")
    taken = call(project, "diptych", "store", "import", str(archive), "--encoder", "hash", DIPTYCH_STORE=mine)
    assert taken.returncode == 0, taken.stderr
    assert "of 1 encoders" in taken.stdout
    assert "0 segments were there already, 0 damaged" in taken.stdout
    assert call(project, "diptych", "store", "import", str(archive), DIPTYCH_STORE=mine).returncode == 0
    again = call(project, "diptych", "store", "import", str(archive), DIPTYCH_STORE=mine)
    assert again.stdout.startswith("imported 0 rows in 0 segments"), again.stderr
    assert "100 cached, 0 new" in call(project, "diptych", "embed", "image-colors", DIPTYCH_STORE=mine).stdout
    refused = call(project / "data", "diptych", "store", "export", "all.zip")
    assert refused.returncode == 2
    assert "expected no file at" in refused.stderr


def test_damage_makes_the_end_an_error_and_the_rest_arrives(project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(project / ".diptych" / "store", broken)
    segment = next(broken.glob("v1/colorhist-*/segments/*"))
    segment.write_bytes(segment.read_bytes()[:-1])
    done = call(project, "diptych", "store", "import", str(broken), DIPTYCH_STORE=str(tmp_path / "mine"))
    assert done.returncode == 1
    assert segment.name in done.stderr
    assert "1 damaged or in conflict" in done.stdout
    assert not done.stdout.startswith("imported 0 rows")


def test_wrong_words_exit_2(project: Path, tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip")
    for command, said in (
        (["import", str(tmp_path / "typo")], "expected a store to import"),
        (["import", str(tmp_path / "no.zip")], "found no zip"),
        (["export", "ftp://host/x"], "ftp://"),
        (["export", str(tmp_path / "x"), "--encoder", "huge"], "found 'huge'"),
    ):
        done = call(project, "diptych", "store", *command)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()
