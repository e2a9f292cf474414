"""The commands of the pages, typed as they stand in a project that has run."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.end_to_end.docs.pages import blocks
from tests.end_to_end.docs.typed import PARAMS, SCENES, Scene, type_here, type_page
from tests.end_to_end.members import make_bucket
from tests.pipeline.project import ROOT, environment, make_project
from tests.store.backends.moto_server import CREDENTIALS, missing_packages, moto_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run once; each page gets a copy."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project", PARAMS)
    type_here(project, "dvc repro", "the run before all pages")
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "clone", symlinks=True))


@pytest.fixture
def bucket() -> Iterator[str]:
    if missing_packages():
        pytest.skip(f"needs {', '.join(missing_packages())}")
    with moto_server() as address:
        make_bucket(address, "team-diptych-store")
        yield address


@pytest.mark.parametrize("page", sorted(set(SCENES) - {"docs/sharing.md"}))
def test_a_page_is_typed_as_it_stands(page: str, project: Path) -> None:
    type_page(page, SCENES[page], project)


def test_the_page_about_sharing_is_typed_as_it_stands(project: Path, tmp_path: Path, bucket: str) -> None:
    scene = Scene(SCENES["docs/sharing.md"].before, {"https://minio.example.org": bucket})
    there = {**CREDENTIALS, "HOME": str(tmp_path)}
    shared = {"AWS_ENDPOINT_URL": bucket, "DIPTYCH_STORE": "s3://team-diptych-store/store"}
    type_here(project, "diptych embed", "what the store holds", **there, **shared)
    type_page("docs/sharing.md", scene, project, **there)


def test_the_page_about_your_data_leads_to_its_leaderboard(tmp_path: Path) -> None:
    page = "docs/your-data.md"
    project = make_project(tmp_path / "clone", YAML(typ="safe").load((ROOT / "params.yaml").read_text("utf-8")))
    (script,) = blocks(page, "python")
    subprocess.run([sys.executable, "-c", script.text], cwd=project, env=environment(), check=True)
    head, preview = blocks(page, "text")
    table = (project / "../films/films.csv").read_text("utf-8")
    assert table.startswith(head.text)
    for name, block in zip(("films", "gross"), blocks(page, "yaml"), strict=True):
        (project / f"recipes/{name}.yaml").write_text(block.text, "utf-8")
    recipe, look, run = blocks(page, "console")
    type_here(project, recipe.text, str(recipe))
    assert preview.text.strip() in type_here(project, look.text, str(look))
    type_here(project, run.text, str(run))
    with (project / "report/leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        measured = {row["experiment"]: float(row["f1_macro"]) for row in csv.DictReader(stream)}
    told = re.findall(
        r"^\| ([a-z-]+) \| .* \| (\.\d{3}) \| \.\d{3} \| \.\d{3} \|$", (ROOT / page).read_text("utf-8"), re.M
    )
    assert len(told) == len(measured) == 6
    assert measured == {name: pytest.approx(float(value), abs=0.02) for name, value in told}


def test_the_estimators_of_fusions_are_scored() -> None:
    (block,) = blocks("docs/fusions.md", "python")
    rows = (
        "import numpy as np\n"
        "draw = np.random.default_rng(0)\n"
        "y = np.arange(60) % 2\n"
        "X = np.hstack([draw.normal(size=(60, 384 + 1280)) + y[:, None], np.ones((60, 2))])\n"
    )
    script = f"{rows}{block.text}".replace("cross_val_score(model", "scores = cross_val_score(model")
    script += "assert scores.shape == (5,) and scores.mean() > 0.9, scores\n"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), check=True)
