"""docs/team.md, typed by two people: nobody embeds anything twice, and what was tampered with is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from store import FeatureStore, verify
from tests.end_to_end.clones import embedded
from tests.end_to_end.team import BUCKETS, PAGE, STORE, Team, get, page_blocks, put, ran
from tests.store.moto_server import CREDENTIALS, missing_packages, moto_server

POSTS, MORE = 24, 6
pytestmark = pytest.mark.skipif(bool(missing_packages()), reason=f"needs {', '.join(missing_packages())}")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Two members, who have not begun yet. The tests of this file go on where the one before ended."""
    folder = tmp_path_factory.mktemp("team")
    with moto_server() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        for bucket in BUCKETS:
            put(f"{address}/{bucket}")
        made = Team(folder, address)
        made.found("ann", POSTS)
        made.new_posts("ben", range(POSTS, POSTS + MORE))
        yield made


def test_its_blocks_say_whose_they_are_and_its_files_exist() -> None:
    assert [member for member, _ in page_blocks()] == ["ann", "ben", "ben", "ann", "ann"]
    assert "tests/end_to_end/test_team.py" in PAGE


@pytest.mark.slow
def test_the_page_is_typed_as_it_stands(team: Team) -> None:
    found, joins, adds, back, merges = page_blocks()
    first = team.type(*found)
    assert {"prepare", "embed@caption-hash", "train@text", "report"} <= ran(first)
    assert embedded(first) == {"caption-hash": (0, POSTS + 1), "image-colors": (0, POSTS)}
    _assert_nobody_computed_twice(team, 2)

    joined = team.type(*joins)
    assert ran(joined) == set()
    assert "up to date" in joined
    assert f"{2 * POSTS + 1} rows" in joined

    added = team.type(*adds)
    assert {"prepare", "embed@caption-precise", "train@precise"} <= ran(added)
    assert embedded(added) == {
        "caption-hash": (POSTS + 1, MORE),
        "caption-precise": (0, POSTS + MORE + 1),
        "image-colors": (POSTS, MORE),
    }
    _assert_nobody_computed_twice(team, 3)

    went = team.type(*back)
    assert ran(went) == {"embed@image-colors"}
    assert embedded(went) == {"image-colors": (POSTS + MORE, 0)}
    assert ran(team.type(*merges)) == set()
    _assert_nobody_computed_twice(team, 3)
    assert verify(FeatureStore(STORE), rows=True) == []
    ours, theirs = (team.home(name) / "films/data/embed" for name in ("ann", "ben"))
    names = [f"{name}.zarr.zip" for name in ("caption-hash", "caption-precise", "image-colors")]
    assert [(ours / name).read_bytes() for name in names] == [(theirs / name).read_bytes() for name in names]


def _assert_nobody_computed_twice(team: Team, encoders: int) -> None:
    stored = list(team.stored())
    assert len(stored) == encoders
    assert all(rows == distinct for _, rows, distinct in stored)
    assert team.computed() == sum(rows for _, rows, _ in stored)


@pytest.mark.slow
def test_an_altered_object_of_the_remote_is_refused_by_dvc_or_by_us(team: Team) -> None:
    ben = team.home("ben") / "films"
    name = "data/embed/caption-hash.zarr.zip"
    url = team.object(_md5(ben, "embed@caption-hash", name))
    sound = get(url)
    matrix = ben / name
    try:
        put(url, _one_bit_off(sound, matrix.read_bytes()))
        _forget(ben, name)
        refused = team.run(ben, "dvc", "pull", name)
        assert refused.returncode != 0, refused.stdout
        assert not matrix.exists()
        # Whoever switches that off gets the altered file, and `dvc status` is content.
        team.run(ben, "dvc", "remote", "modify", "--local", "team", "verify", "false")
        _forget(ben, name)
        assert team.run(ben, "dvc", "pull", name).returncode == 0
        assert matrix.read_bytes() != sound
        trained = team.run(ben, "diptych", "train", "text")
        assert (trained.returncode, "Traceback" in trained.stdout) == (1, False)
        assert "caption-hash.zarr.zip" in trained.stdout
    finally:
        put(url, sound)
        team.run(ben, "dvc", "remote", "modify", "--local", "--unset", "team", "verify")
        _forget(ben, name)
        assert team.run(ben, "dvc", "pull", name).returncode == 0
    assert matrix.read_bytes() == sound
    assert team.run(ben, "diptych", "train", "text").returncode == 0


@pytest.mark.slow
def test_an_altered_record_of_the_run_cache_is_refused_by_who_reads_what_it_brings(team: Team) -> None:
    ben = team.home("ben") / "films"
    right, wrong = (
        _md5(ben, f"embed@{name}", f"data/embed/{name}.zarr.zip") for name in ("caption-hash", "image-colors")
    )
    records = [path for path in (ben / ".dvc/cache/runs").rglob("*") if path.is_file() and right in path.read_text()]
    before = {path: path.read_text() for path in records}
    producer = [path for path, text in before.items() if "diptych embed caption-hash" in text]
    assert producer
    lock = (ben / "dvc.lock").read_text()
    matrix = ben / "data/embed/caption-hash.zarr.zip"
    sound = matrix.read_bytes()
    try:
        for path in producer:
            path.write_text(before[path].replace(right, wrong))
        (ben / "dvc.lock").write_text(_without_stage(lock, "embed@caption-hash"))
        matrix.unlink()
        said = team.run(ben, "dvc", "repro", "--single-item", "embed@caption-hash").stdout
        assert "is cached - skipping run" in said, said
        assert matrix.read_bytes() == (ben / "data/embed/image-colors.zarr.zip").read_bytes()
        assert wrong in team.run(ben, "git", "diff", "dvc.lock").stdout
        trained = team.run(ben, "diptych", "train", "text")
        assert (trained.returncode, "Traceback" in trained.stdout) == (1, False)
        assert "metrics/embed" in trained.stdout or "digest" in trained.stdout
    finally:
        (ben / "dvc.lock").write_text(lock)
        for path, text in before.items():
            path.write_text(text)
        team.run(ben, "dvc", "checkout", "--force", "data/embed/caption-hash.zarr.zip")
    assert matrix.read_bytes() == sound


def _md5(clone: Path, stage: str, output: str) -> str:
    lock = YAML(typ="safe").load((clone / "dvc.lock").read_text("utf-8"))
    (found,) = [each["md5"] for each in lock["stages"][stage]["outs"] if each["path"] == output]
    return str(found)


def _without_stage(lock: str, stage: str) -> str:
    return re.sub(rf"^  {stage}:\n(?:    .*\n|  - .*\n)+", "", lock, flags=re.MULTILINE)


def _one_bit_off(content: bytes, matrix: bytes) -> bytes:
    """Flip a bit in the middle of a matrix, where its vectors are."""
    assert content == matrix
    altered = bytearray(content)
    altered[len(altered) // 2] ^= 1
    return bytes(altered)


def _forget(clone: Path, name: str) -> None:
    """Remove an output and its object from a clone, as if it had never been pulled."""
    md5 = _md5(clone, f"embed@{Path(name).name.removesuffix('.zarr.zip')}", name)
    for path in (clone / name, clone / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        path.unlink(missing_ok=True)
