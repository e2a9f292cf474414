"""Between two clones somebody alters what travels: DVC refuses it, or our own digests do; case 81 of reliability.md."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from store import open_matrix
from tests.end_to_end.clones import embedded
from tests.end_to_end.members import BUCKETS, GIT_SERVER, Team, bucket_files, make_bucket, ran
from tests.rules.cards import read_card
from tests.store.backends.moto_server import CREDENTIALS, missing_packages, moto_server

POSTS = 12
NAME = "data/embed/caption-hash.zarr.zip"
SET_UP = """
cd films
dvc remote add -d team {remote}
dvc remote modify team verify true
dvc repro split {targets}
git add -A
git commit -q -m run
dvc push --run-cache
git push -q origin main
"""
JOIN = f"""
git clone -q {GIT_SERVER}
cd films
dvc pull --run-cache prepare split wire@embed {{targets}}
dvc repro split {{targets}}
"""


def _joined(team: Team, remote: str, *targets: str) -> str:
    """Let Ann run some stages and push them, and Ben pull and run them; return what Ben was told."""
    team.found("ann", POSTS)
    assert embedded(team.type("ann", SET_UP.format(remote=remote, targets=" ".join(targets))))
    return team.type("ben", JOIN.format(targets=" ".join(targets)))


@pytest.mark.slow
def test_who_pulls_runs_nothing(tmp_path: Path) -> None:
    team = Team(tmp_path, store=str(tmp_path / "store"))
    said = _joined(team, str(tmp_path / "remote"), "embed@caption-hash")
    assert ran(said) == set()
    assert "up to date" in said
    assert team.computed() == POSTS + 1
    ours, theirs = (team.home(name) / "films" / NAME for name in ("ann", "ben"))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Two clones that have the same, and a remote on S3 between them."""
    if missing := missing_packages():
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("tampered")
    with moto_server() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        make_bucket(address, BUCKETS[0])
        made = Team(folder, address, str(folder / "store"))
        assert ran(_joined(made, f"s3://{BUCKETS[0]}/dvc", "embed@caption-hash", "embed@image-colors")) == set()
        yield made


@pytest.mark.slow
def test_an_altered_object_of_the_remote_is_refused_by_dvc_or_by_us(team: Team) -> None:
    ben = team.home("ben") / "films"
    md5, matrix = _md5(ben, NAME), ben / NAME
    path, files = f"{BUCKETS[0]}/dvc/files/md5/{md5[:2]}/{md5[2:]}", bucket_files()
    sound = files.cat_file(path)
    try:
        files.pipe_file(path, _one_bit_off(sound, matrix))
        _forget(ben)
        refused = team.run(ben, "dvc", "pull", NAME)
        assert refused.returncode != 0, refused.stdout
        assert not matrix.exists()
        # Whoever switches that off gets the altered file, and `dvc status` is content.
        team.run(ben, "dvc", "remote", "modify", "--local", "team", "verify", "false")
        _forget(ben)
        assert team.run(ben, "dvc", "pull", NAME).returncode == 0
        assert matrix.read_bytes() != sound
        trained = team.run(ben, "diptych", "train", "text")
        assert (trained.returncode, "Traceback" in trained.stdout) == (1, False)
        assert "caption-hash.zarr.zip" in trained.stdout
    finally:
        files.pipe_file(path, sound)
        team.run(ben, "dvc", "remote", "modify", "--local", "--unset", "team", "verify")
        _forget(ben)
        assert team.run(ben, "dvc", "pull", NAME).returncode == 0
    assert matrix.read_bytes() == sound
    assert team.run(ben, "diptych", "train", "text").returncode == 0


@pytest.mark.slow
def test_a_sound_matrix_in_place_of_another_is_refused(team: Team) -> None:
    ben = team.home("ben") / "films"
    right, wrong = (_md5(ben, f"data/embed/{name}.zarr.zip") for name in ("caption-hash", "image-colors"))
    lock, sound = (ben / "dvc.lock").read_text(), (ben / NAME).read_bytes()
    try:
        (ben / "dvc.lock").write_text(lock.replace(right, wrong))
        assert team.run(ben, "dvc", "checkout", "--force", NAME).returncode == 0
        assert (ben / NAME).read_bytes() == (ben / "data/embed/image-colors.zarr.zip").read_bytes()
        trained = team.run(ben, "diptych", "train", "text")
        assert (trained.returncode, "Traceback" in trained.stdout) == (1, False)
        assert read_card(ben / "metrics/embed/caption-hash.json")["digest"] in trained.stdout
    finally:
        (ben / "dvc.lock").write_text(lock)
        team.run(ben, "dvc", "checkout", "--force", NAME)
    assert (ben / NAME).read_bytes() == sound


@pytest.mark.slow
def test_an_altered_record_of_the_run_cache_is_seen_in_git_and_what_does_not_fit_is_refused(team: Team) -> None:
    ben = team.home("ben") / "films"
    lock = (ben / "dvc.lock").read_text()
    right, wrong = (_md5(ben, f"data/{name}", name) for name in ("prepare", "split"))
    files = (path for path in (ben / ".dvc/cache/runs").rglob("*") if path.is_file())
    (record,) = [path for path in files if "cmd: diptych prepare" in path.read_text()]
    before = record.read_text()
    try:
        record.write_text(before.replace(right, wrong))
        (ben / "dvc.lock").unlink()
        shutil.rmtree(ben / "data/prepare")
        said = team.run(ben, "dvc", "repro", "--single-item", "prepare").stdout
        assert "is cached - skipping run" in said, said
        assert wrong in team.run(ben, "git", "diff", "dvc.lock").stdout
        trained = team.run(ben, "diptych", "train", "text")
        assert (trained.returncode, "Traceback" in trained.stdout) == (2, False)
    finally:
        (ben / "dvc.lock").write_text(lock)
        record.write_text(before)
        team.run(ben, "dvc", "checkout", "--force", "data/prepare")
    assert team.run(ben, "diptych", "train", "text").returncode == 0


def _md5(clone: Path, output: str, stage: str = "") -> str:
    lock = YAML(typ="safe").load((clone / "dvc.lock").read_text("utf-8"))
    outs = lock["stages"][stage or f"embed@{Path(output).name.removesuffix('.zarr.zip')}"]["outs"]
    (found,) = [each["md5"] for each in outs if each["path"] == output]
    return str(found)


def _one_bit_off(content: bytes, matrix: Path) -> bytes:
    """Flip a bit of the first vector of a matrix."""
    altered = bytearray(content)
    altered[content.index(open_matrix(matrix).block(0, 1).tobytes())] ^= 1
    return bytes(altered)


def _forget(clone: Path) -> None:
    """Remove an output and its object from a clone, as if it had never been pulled."""
    md5 = _md5(clone, NAME)
    for path in (clone / NAME, clone / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        path.unlink(missing_ok=True)
