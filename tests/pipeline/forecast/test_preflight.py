"""What a verb will write and hold is reckoned from cards and params, and refused before it begins."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.forecast import preflight
from pipeline.forecast.preflight import refuse_lack
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params, validate_params
from stages.contract import SilentProgress
from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, run
from stages.embed.settings import EmbedSettings
from stages.models.encoders.text.hashing import HashText
from store import FeatureStore, stats
from store.errors import RunError
from store.files import room
from store.items.records import Item, ManifestInfo, write_manifest
from tests.pipeline.project import SMALL
from tests.rules.cards import write_card
from tests.store.files.small_disk import small_disk

GB = 10**9
ROWS, DIM, CLASSES = 1_000_000, 2048, 90


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Params]:
    """Cards of a million rows without the rows; returns what makes the params of such a project."""
    monkeypatch.chdir(tmp_path)
    for verb, name in (("embed", "caption-hash"), ("embed", "image-colors"), ("fuse", "both")):
        path = paths.card(verb, name)
        write_card(path, {"rows": ROWS, "dim": DIM})
    paths.SPLIT.mkdir(parents=True)
    (paths.SPLIT / "summary.json").write_text(json.dumps({"rows": {"train": 700_000, "dev": 100_000, "test": 200_000}}))
    paths.PREPARE.mkdir(parents=True)
    classes = tuple(f"c{n}" for n in range(CLASSES))
    write_manifest(paths.MANIFEST, ManifestInfo("table", ".", "multilabel", classes, fields=("caption",)), [])

    def made(**sections: Any) -> Params:
        content = {**SMALL, **sections}
        return validate_params(content, "", Path("params.yaml"))

    return made


def machine(monkeypatch: pytest.MonkeyPatch, disk: float, memory: float) -> None:
    """Pretend a machine: the disk cannot be filled here. test_room.py has real small disks."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(int(disk), 0, int(disk)))  # type: ignore[attr-defined]
    monkeypatch.setattr(room, "available_memory", lambda: int(memory))


@pytest.mark.parametrize(
    ("head", "options", "least"),
    [
        ("forest", {"max_depth": None}, 200 * GB),
        ("svm", {}, 100 * GB),
        ("knn", {}, 10 * GB),
        ("forest", {"max_depth": 2}, 0),
        ("mlp", {}, 0),
    ],
)
def test_models_that_grow_with_the_rows_need_room(
    large: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, head: str, options: dict[str, Any], least: int
) -> None:
    params = large(train={"x": {"features": ["image-colors"], "head": head, **options}})
    machine(monkeypatch, least or GB, 0)
    if least:
        with pytest.raises(RunError, match=r"train x: expected room for about .* free; make room"):
            refuse_lack("train", "x", params, Settings())
    machine(monkeypatch, 1e18 if least else GB, 0)
    refuse_lack("train", "x", params, Settings())


@pytest.mark.parametrize(
    ("verb", "name", "least"), [("reduce", "few", 0.2 * GB), ("fuse", "both", 16 * GB), ("train", "joined", 0.1 * GB)]
)
def test_what_is_written_needs_room(
    large: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, verb: str, name: str, least: float
) -> None:
    params = large(reduce={"few": {"features": "image-colors", "method": "pca", "components": 64}})
    machine(monkeypatch, least, 1e18)
    with pytest.raises(RunError, match=rf"{verb} {name}: expected room for about .* free; make room"):
        refuse_lack(verb, name, params, Settings())
    refuse_lack(verb, name, params, Settings(preflight="warn"))
    refuse_lack(verb, name, params, Settings(preflight="off"))
    machine(monkeypatch, 1e18, 1e18)
    refuse_lack(verb, name, params, Settings())


def test_a_covariance_of_very_wide_rows_is_refused(
    large: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(paths.card("embed", "image-colors"), {"rows": 10, "dim": 150_528})
    params = large(reduce={"few": {"features": "image-colors", "method": "pca", "components": 64}})
    machine(monkeypatch, 1e18, 100 * GB)
    with pytest.raises(RunError, match=r"reduce few: expected about 543.8 GB of memory"):
        refuse_lack("reduce", "few", params, Settings())


def test_prepare_reckons_with_scenes_and_with_the_size_of_a_table(
    large: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 1 * GB, 1e18)
    with pytest.raises(RunError, match=r"prepare: expected room for about 4.1 GB"):
        refuse_lack("prepare", "prepare", large(prepare={**SMALL["prepare"], "scenes": {"items": 100_000}}), Settings())
    Path("posts.csv").write_text("id,image,caption,kind\n" + "p1,1.png,a,b\n" * 100_000)
    table = {"id": "id", "image": "image", "text": "caption", "label": "kind"}
    params = large(prepare={"source": "table", "path": "posts.csv", "table": table})
    refuse_lack("prepare", "prepare", params, Settings())
    machine(monkeypatch, 1 * GB, 20_000_000)
    with pytest.raises(RunError, match=r"prepare: expected about 30.0 MB of memory; .*; set prepare.limit"):
        refuse_lack("prepare", "prepare", params, Settings())


def test_without_cards_nothing_is_reckoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = validate_params(dict(SMALL), "", Path("params.yaml"))
    for verb, name in (("fuse", "both"), ("train", "text"), ("evaluate", "text"), ("report", "report")):
        refuse_lack(verb, name, params, Settings())
    assert preflight._shape(params, ["caption-hash"]) == (0, 0)


def test_embed_is_refused_on_a_real_small_disk_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SPARE", 0)
    monkeypatch.setattr(HashText, "load", lambda *_: pytest.fail("the model was loaded"))
    info = ManifestInfo("table", ".", "multilabel", ("a",), fields=("caption",))
    items = [Item(f"i{n}", None, {"caption": f"text {n}"}, ("a",), None, f"i{n}") for n in range(20_000)]
    write_manifest(tmp_path / "manifest.parquet", info, ((item, None) for item in items))
    with small_disk(tmp_path / "disk", "4m") as disk:  # the rows alone would take 6 MB
        outputs = EmbedOutputs(tmp_path / "m.zarr.zip", tmp_path / "m.json", tmp_path / "m.failed.csv")
        settings = EmbedSettings(FeatureStore(disk / "store"), "cpu", "torch")
        params = EmbedParams(encoder="hash", field="caption", dtype="float32")
        with pytest.raises(RunError, match=r"embed hash: expected room for about .* on the disk of .*disk"):
            run(params, EmbedInputs(tmp_path / "manifest.parquet"), outputs, settings, SilentProgress())
        assert stats(FeatureStore(disk / "store")).rows == 0
    assert not outputs.matrix.exists()
