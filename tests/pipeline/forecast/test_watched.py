"""Pipes, sockets and dead links in the data that DVC watches are named before anything opens them."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipeline import cli, paths
from pipeline.experiments import repeat
from pipeline.forecast import dry_run, plan, watched
from pipeline.forecast.watched import refuse_odd_files
from pipeline.machine import doctor
from store.errors import InputError
from store.files.reading import trust_roots
from tests.pipeline.project import SMALL, write_params

TABLE = {"source": "table", "path": "data", "table": {"image": "image", "text": "text", "label": "label"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "project"
    (folder / "data" / "sub").mkdir(parents=True)
    (folder / "data" / "posts.csv").write_text("image,text,label\n,one,a\n,two,b\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    write_params(folder, {**SMALL, "prepare": TABLE})
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    monkeypatch.chdir(folder)
    yield folder
    trust_roots(())


def put(what: str, place: Path) -> None:
    if what == "pipe":
        os.mkfifo(place)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as found:
            found.bind(str(place))
    elif what == "device":
        place.symlink_to("/dev/null")
    elif what == "dead link":
        place.symlink_to("/gone/away.jpg")
    else:
        place.symlink_to(place.name)


ODD = {
    "pipe": "a named pipe",
    "socket": "a socket",
    "device": "a link to a device",
    "dead link": "a link to '/gone/away.jpg', which leads nowhere",
    "loop": "which leads nowhere",
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.usefixtures("project")
def test_what_is_no_regular_file_is_named(what: str) -> None:
    put(what, Path("data/sub/odd"))
    for path in (Path("data"), Path("data/sub/odd")):
        ((place, told),) = watched._odd(path)
        assert place == "data/sub/odd"
        assert told.endswith(ODD[what])


@pytest.mark.usefixtures("project")
def test_regular_files_and_links_to_them_and_to_folders_pass(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.mkfifo(tmp_path / "elsewhere" / "pipe")  # DVC enters no link to a folder
    Path("data/folder").symlink_to(tmp_path / "elsewhere")
    Path("data/circle").symlink_to(".")
    Path("data/again.csv").symlink_to("posts.csv")
    refuse_odd_files(Path("data"))
    refuse_odd_files(Path("data/again.csv"))
    refuse_odd_files(Path("nothing"))


@pytest.mark.usefixtures("project")
def test_what_dvc_ignores_is_left_alone() -> None:
    put("dead link", Path("data/.#posts.csv"))
    put("pipe", Path("data/sub/control"))
    Path(".dvcignore").write_text(".#*\n")
    with pytest.raises(InputError, match="control") as caught:
        refuse_odd_files(Path("data"))
    assert ".#posts.csv" not in str(caught.value)
    Path(".dvcignore").write_text(".#*\ndata/sub\n")
    refuse_odd_files(Path("data"))


@pytest.mark.usefixtures("project")
def test_of_many_the_first_are_named_and_all_counted() -> None:
    for number in range(8):
        put("dead link", Path(f"data/{number}.jpg"))
    with pytest.raises(InputError, match=r"data/4\.jpg.*\n  and 3 more") as caught:
        refuse_odd_files(Path("data"))
    assert "data/5.jpg" not in str(caught.value)


def test_every_command_that_reads_the_data_refuses_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("pipe", project / "data" / "sub" / "odd")
    monkeypatch.setattr(watched, "_kept", list)  # what DVC ignores is tested above, and takes a second each
    monkeypatch.setattr(plan, "_changed_stages", lambda: pytest.fail("DVC was asked, and would wait for ever"))
    monkeypatch.setattr(repeat, "repro", lambda *_: pytest.fail("DVC was started, and would wait for ever"))
    for command in (
        cli.prepare,
        lambda: dry_run.preview_data(None),
        lambda: cli.plan(as_json=False),
        lambda: repeat.repeat(Path("t.csv"), 1, (), cli.ConsoleProgress()),
    ):
        with pytest.raises(InputError, match="sub/odd: a named pipe"):
            command()
    assert not paths.PREPARE.exists()
    assert not paths.PREVIEW.exists()
    (bad,) = doctor._data()
    assert not bad.good
    assert "sub/odd" in bad.found
    (project / "data" / "sub" / "odd").unlink()
    assert [each.good for each in doctor._data()] == [True]


def test_the_doctor_misses_a_trusted_root_that_is_not_mounted(project: Path) -> None:
    (project / "local.toml").write_text('trusted_roots = ["data", "/gone/cache"]\n')
    found = {each.found: each.good for each in doctor._data()}
    assert found == {"data, regular files only": True, str(project / "data"): True, "no folder /gone/cache": False}


def test_pictures_behind_links_need_a_trusted_root(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "files" / "md5"
    rows = ["image,text,label"]
    for number in range(3):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (90 * number, 10, 10)).save(stream, "PNG")
        (cache / f"a{number}").mkdir(parents=True)
        (cache / f"a{number}" / "0123456789").write_bytes(stream.getvalue())
        (project / "data" / f"{number}.png").symlink_to(cache / f"a{number}" / "0123456789")
        rows.append(f"{number}.png,text {number},{'ab'[number % 2]}")
    (project / "data" / "posts.csv").write_text("\n".join(rows) + "\n")
    remedy = f'trusted_roots = ["{cache}"]'
    with pytest.raises(InputError, match="3 unsafe-path") as caught:
        dry_run.preview_data(None)
    assert remedy in str(caught.value)
    (project / "local.toml").write_text(remedy + "\n")
    dry_run.preview_data(None)
    cli.prepare()
    cli.embed("image-colors")  # reads them again
    assert '"failed": 0' in (project / "metrics" / "embed" / "image-colors.json").read_text()
