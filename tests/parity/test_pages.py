"""The blocks of docs/cluster.md that say so are run as they stand, with other ports, in a small project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.machine.settings import load_settings
from store import open_matrix
from tests.parity.test_elsewhere import free_port
from tests.pipeline.project import ROOT, SMALL, call, make_project, write_params

PAGE = (ROOT / "docs/cluster.md").read_text("utf-8")
BLOCKS = re.findall(r"^```bash\n# tested\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
_ONE = {
    **SMALL,
    "embed": {"image-colors": {"encoder": "colorhist", "field": "image"}},
    "fuse": {},
    "train": {"dummy": {"features": ["image-colors"], "head": "dummy"}},
}
_LIST = "data/embed/image-colors.zarr.zip"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("page") / "clone")
    assert call(folder, "diptych", "prepare").returncode == 0
    write_params(folder, _ONE)
    done = call(folder, "diptych", "embed")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_page_has_blocks_that_are_tested_and_says_of_all_others_why_not() -> None:
    assert len(BLOCKS) == 3
    untested = [
        block for block in re.split(r"^## ", PAGE, flags=re.MULTILINE) if "```" in block and "# tested\n" not in block
    ]
    assert untested
    assert all("*Needs" in block or "*(needs" in block for block in untested)


def test_the_settings_of_the_page_exist(tmp_path: Path) -> None:
    named = re.findall(r"^\| `DIPTYCH_\w+`.*?\| `(\w+)`", PAGE, re.MULTILINE)
    assert {"executor", "dask", "dask_workers", "dask_tls_ca"} == set(named)
    environment = {"DIPTYCH_EXECUTOR": "dask", "DIPTYCH_DASK": "tls://node1:8786", "DIPTYCH_DASK_WORKERS": "3"}
    settings = load_settings(tmp_path / "local.toml", environment)
    assert (settings.executor, settings.dask, settings.dask_workers) == ("dask", "tls://node1:8786", 3)


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=["here", "by hand", "tls"])
def test_a_block_gives_what_one_process_gives(project: Path, tmp_path: Path, block: str) -> None:
    wanted = open_matrix(project / _LIST).digest
    (project / _LIST).unlink()
    script = block.replace("8786", str(free_port()))
    more = {"DIPTYCH_STORE": str(tmp_path / "store"), "PYTHONPATH": str(ROOT)}
    done = call(project, "bash", "-m", "-c", f"set -e\n{script}", **more)
    assert done.returncode == 0, done.stderr
    assert "100 new" in done.stdout.replace(",", "")
    assert open_matrix(project / _LIST).digest == wanted
