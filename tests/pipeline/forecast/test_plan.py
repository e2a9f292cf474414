"""What `diptych plan` tells of each encoder, and how `embed` remembers contents that fail."""

from __future__ import annotations

import io
import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import paths
from pipeline.forecast.embed_plan import EmbedPlan, plan_embed
from pipeline.forecast.plan import Plan, affected, print_plan
from pipeline.machine.settings import load_settings
from pipeline.params.sections import load_params
from pipeline.storage.explain import explain
from stages.contract import SilentProgress
from stages.embed.run import EmbedInputs, EmbedOutputs, run
from stages.embed.settings import EmbedSettings
from stages.models.encoders.catalog.encoders import ENCODERS
from store import image_key
from store.items.records import Item, ManifestInfo, write_manifest
from tests.pipeline.project import ROOT, SMALL, call, write_params
from tests.rules.cards import change_card
from tests.stages.embed.counting import Counting

EMBED: dict[str, Any] = {
    "image-colors": {"encoder": "colorhist", "field": "image", "max_failed_share": 0.5},
    "image-again": {"encoder": "colorhist", "field": "image", "dtype": "float32", "max_failed_share": 0.5},
    "caption-hash": {"encoder": "hash", "field": "caption"},
}
CODE = """
from dataclasses import replace
from pathlib import Path
from pipeline.forecast.embed_plan import plan_embed
from pipeline.params.sections import load_params
from pipeline.machine.settings import Settings
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.weights import resolve_model

row = ENCODERS["minilm"]
ENCODERS["minilm"] = replace(row, build=lambda choice: resolve_model(choice.model, "0123456789" * 4))
print(plan_embed("hub", load_params(Path("params.yaml")), Settings(), ()).problem)
"""


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_entries(folder: Path, **more: dict[str, str]) -> None:
    """Write params that embed and little else."""
    train = {"dummy": {"features": ["caption-hash"], "head": "dummy"}}
    write_params(folder, {**SMALL, "embed": {**EMBED, **more}, "fuse": {}, "train": train, "retrieve": {}})


def write_items(folder: Path, field: str) -> None:
    """Write six pictures, two of which are none, and a manifest of them with three texts."""
    rows = []
    for row, content in enumerate([*(picture(number) for number in range(4)), b"no picture", picture(9)[:40]]):
        (folder / "pictures" / f"{row}.png").write_bytes(content)
        texts = {field: f"text {row}"} if row < 3 else {}
        rows.append((Item(f"i{row}", f"{row}.png", texts, ("a",), None, f"i{row}"), image_key(content)))
    info = ManifestInfo("table", str(folder / "pictures"), "multiclass", ("a",), {}, (field,))
    write_manifest(folder / paths.MANIFEST, info, rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_entries(tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "data" / "prepare").mkdir(parents=True)
    write_items(tmp_path, "caption")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(name: str) -> EmbedPlan:
    return plan_embed(name, load_params(paths.PARAMS_FILE), load_settings(paths.LOCAL_FILE, {}), ())


def embed(folder: Path, *arguments: str) -> str:
    done = call(folder, "diptych", "embed", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rows_before_and_after_a_run_that_remembers_its_failures(folder: Path) -> None:
    before = planned("image-colors")
    assert (before.cached, before.new, before.failed, before.contents) == (0, 6, 0, 6)
    assert (before.new_bytes, before.store_bytes) == (6 * 64 * 2, 0)
    assert (before.matrix, before.seconds, before.rate_of, before.problem) == ("none", None, "", "")
    assert "0 cached, 4 new" in embed(folder, "image-colors")
    after = planned("image-colors")
    assert (after.cached, after.new, after.failed, after.seconds) == (4, 0, 2, 0)
    assert (after.matrix, after.new_bytes) == ("ok", 0)
    assert after.store_bytes
    said = embed(folder, "image-colors")
    assert "4 cached, 0 new, 2 failed (2 known and not tried again, which --retry-failed does)" in said
    assert "4 cached, 0 new, 2 failed;" in embed(folder, "image-colors", "--retry-failed")


def test_a_pair_is_counted_and_explained_as_one_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "pairing", Counting().row("pairing", "pair"))
    write_entries(folder, pair={"encoder": "pairing", "field": "caption"})
    before = planned("pair")
    assert (before.cached, before.new, before.contents) == (0, 3, 3)  # six pictures, three of them with a text
    params, settings = load_params(paths.PARAMS_FILE), load_settings(paths.LOCAL_FILE, {})
    outputs = EmbedOutputs(Path("m.zarr.zip"), paths.card("embed", "pair"), Path("failed.csv"))
    store = settings.feature_store(params.store.format)
    run(params.embed["pair"], EmbedInputs(paths.MANIFEST), outputs, EmbedSettings(store), SilentProgress())
    after = planned("pair")
    assert (after.cached, after.new, after.matrix) == (3, 0, "ok")
    (hit,) = (each for each in explain("i1", params, settings) if each.wanted == "pair")
    assert hit.verdict.startswith("hit: key ")
    key = hit.verdict.removeprefix("hit: key ")
    assert [each.verdict for each in explain(key, params, settings)] == ["1 encoders have a vector for it"]
    (absent,) = (each for each in explain("i4", params, settings) if each.wanted == "pair")
    assert absent.verdict == "the item has no caption + image: nothing is looked up"


def test_the_rate_of_another_entry_serves_when_its_encoder_is_the_same(folder: Path) -> None:
    embed(folder, "image-colors")
    record = paths.RUNS / "embed-image-colors.json"
    run = json.loads(record.read_text())
    assert (run["encoder"], run["model"]) == ("colorhist", None)
    record.write_text(json.dumps({**run, "rate": 2.0, "seconds": {"load": 5.0}}))
    again = planned("image-again")  # in float32 its rows are others
    assert (again.new, again.seconds, again.rate_of) == (6, 8.0, "image-colors")
    assert planned("caption-hash").rate_of == ""
    own = {**run, "rate": 1.0, "seconds": {"load": 0.0}}
    (paths.RUNS / "embed-image-again.json").write_text(json.dumps(own))
    assert planned("image-again").seconds == 6.0
    for other in ({**own, "encoder": "hash"}, {**own, "model": "else"}, {"rate": 1.0}, [], {**own, "rate": 0.0}):
        (paths.RUNS / "embed-image-again.json").write_text(json.dumps(other))
        assert planned("image-again").rate_of == "image-colors"
    record.write_text("{damaged")
    assert planned("image-again").seconds is None


def test_a_matrix_of_another_encoder_is_stale(folder: Path) -> None:
    embed(folder, "caption-hash")
    assert planned("caption-hash").matrix == "ok"
    card = folder / "metrics" / "embed" / "caption-hash.json"
    change_card(card, fingerprint="0" * 64)
    assert planned("caption-hash").matrix == "stale"
    card.write_text("{damaged")
    assert planned("caption-hash").matrix == "none"


def test_one_wrong_entry_leaves_the_others_planned(folder: Path) -> None:
    wrong = {
        "hub": {"encoder": "minilm", "field": "caption", "model": "someone/model"},
        "lost": {"encoder": "minilm", "field": "caption", "model": "./lost"},
    }
    write_entries(folder, **wrong)
    problems = {name: planned(name) for name in wrong}
    assert "expected a `revision` beside the hub id 'someone/model'" in problems["hub"].problem
    assert "found './lost'" in problems["lost"].problem
    assert all(each.new is None and each.contents is None for each in problems.values())
    assert planned("caption-hash").new == 4


def test_a_field_that_the_manifest_will_get_by_the_next_prepare(folder: Path) -> None:
    write_items(folder, "title")
    assert "no field 'caption' yet; `diptych prepare`" in planned("caption-hash").problem
    assert planned("image-colors").new == 6


def test_a_hub_out_of_reach_is_the_problem_of_its_row(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    write_entries(folder, hub={"encoder": "minilm", "field": "caption", "model": "someone/model"})
    done = call(folder, "python", "-c", CODE, HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_HOME=str(folder / "hf"))
    assert "no connection to the hub (ConnectError)" in done.stdout, done.stderr


ROW = EmbedPlan("a", "minilm", "ok", "f1", 5, 0, 0, 0, 4_000_000, 0.0)


def printed(capsys: pytest.CaptureFixture[str], *rows: EmbedPlan, stages: tuple[str, ...] = ("report",)) -> str:
    print_plan(Plan(prepared=True, encoders=list(rows), changed=["embed@x"], stages=list(stages)))
    return capsys.readouterr().out


def test_stages_are_told_in_the_order_of_a_run() -> None:
    params = load_params(ROOT / "params.yaml")
    changed = ["report", "wire@train", "reduce@image-pca", "wire@embed", "prepare"]
    told = affected(params, changed)
    assert told.index("prepare") < told.index("wire@embed") < told.index("embed@caption-minilm")
    assert told.index("fuse@both") < told.index("wire@train") < told.index("train@dummy")
    assert told[-1] == "report"


def test_the_report_follows_a_matrix_that_nobody_reads(folder: Path) -> None:
    write_params(folder, {**SMALL, "reduce": {"alone": {"features": "caption-hash", "method": "pca", "components": 2}}})
    params = load_params(paths.PARAMS_FILE)
    assert affected(params, ["reduce@alone"]) == ["reduce@alone", "report"]
    assert affected(params, ["fuse@both"])[-1] == "report"


def test_the_sum_line_and_the_notes(capsys: pytest.CaptureFixture[str]) -> None:
    slow = replace(ROW, name="b", new=7, new_bytes=2_500, seconds=5400.0, rate_of="a", failed=3)
    none = replace(ROW, name="c", fingerprint="f2", new=1, seconds=None, matrix="stale")
    said = printed(capsys, ROW, slow, none, EmbedPlan("d", "minilm", problem="no hub"))
    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.split()}
    assert lines["b"] == ["ok", "5", "7", "3", "2.5", "kB", "4.0", "MB", "1.5", "h"]
    assert lines["c"] == ["stale", "5", "1", "0", "0", "B", "4.0", "MB", "no", "rate", "yet"]
    assert lines["d"] == ["none", "?", "?", "?", "?", "?", "?"]
    assert lines["all"] == ["15", "8", "3", "2.5", "kB", "8.0", "MB", "1.5", "h", "+", "?"]  # a and b share a place
    assert "d: no hub" in said
    assert "b: the time is told by the rate of a" in said
    assert "b: 3 contents are known to fail" in said
    assert "diptych embed b --retry-failed" in said
    assert "run `dvc repro --force embed@c`" in said
    assert "--force" not in printed(capsys, none, stages=("embed@c", "report"))


def test_the_table_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, replace(ROW, name="caption-minilm", new=123_456, cached=1_234_567, seconds=None))
    table = said[: said.index("`dvc repro`")]
    assert max(map(len, table.splitlines())) <= 86


def test_without_a_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(Plan(prepared=False, encoders=[], changed=["prepare"], stages=["prepare"]))
    said = capsys.readouterr().out
    assert "no manifest yet" in said
    assert "may run 1 stages: prepare" in said


def test_as_json() -> None:
    content = Plan(prepared=True, encoders=[ROW, replace(ROW, name="b")], changed=[], stages=[]).as_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["total"] == {"cached": 10, "new": 0, "failed": 0, "new_bytes": 0, "seconds": 0, "store_bytes": 4e6}
    assert content["encoders"][1]["contents"] == 5
