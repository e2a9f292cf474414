"""`diptych store` as a janitor meets it: damage, doubts and garbage are told first, and touched on request."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore
from tests.pipeline.project import SMALL, call, make_project, write_params

MANIFEST = "data/prepare/manifest.parquet"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = make_project(tmp_path_factory.mktemp("project"))
    for command in (["prepare"], ["embed"]):
        done = call(folder, "diptych", *command)
        assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def store(embedded: Path, tmp_path: Path) -> Path:
    """A copy of the project's store, for tests that change it."""
    shutil.copytree(embedded / ".diptych" / "store", tmp_path / "store")
    return tmp_path / "store"


def log_of(store: Path, encoder: str):
    return next(log for log in FeatureStore(store, durability="none").logs() if log.fingerprint.encoder == encoder)


def cut(store: Path, parts: int) -> None:
    """Store the rows of the pictures' encoder again in several segments, and remove the first one."""
    log = log_of(store, "colorhist")
    (name,) = log.segments()
    whole = log.files.read(name)
    for rows in np.array_split(np.arange(len(whole.keys)), parts):
        log.append(whole.keys[rows], whole.vectors[rows], whole.provenance)
    (store / log.folder / "segments" / name).unlink()


def run(project: Path, store: Path, *arguments: str):
    return call(project, "diptych", "store", *arguments, DIPTYCH_STORE=str(store), COLUMNS="200")


def test_compact_tells_first_and_merges_on_request(embedded, store):
    cut(store, 4)
    told = run(embedded, store, "compact")
    assert told.returncode == 0
    assert "4 segments with" in told.stdout
    assert "add --apply" in told.stdout
    assert len(log_of(store, "colorhist").segments()) == 4
    assert run(embedded, store, "compact", "--encoder", "hash", "--apply").stdout.startswith("nothing to do")
    assert run(embedded, store, "compact", "--apply").returncode == 0
    assert len(log_of(store, "colorhist").segments()) == 1
    assert run(embedded, store, "verify", "--rows", "--conflicts").returncode == 0
    day = next((store / "trash").iterdir()).name
    assert "restored 4 files" in run(embedded, store, "restore", day).stdout
    assert run(embedded, store, "restore", "1999-01-01").returncode == 2


def test_gc_needs_every_manifest_and_keeps_their_rows(embedded, store, tmp_path):
    stray = log_of(store, "hash")
    name = stray.append(np.full((1, 32), 7, np.uint8), np.ones((1, stray.dim), stray.dtype), {})
    for path in store.rglob("segments/*"):
        os.utime(path, (0, 0))
    refused = run(embedded, store, "gc", "--apply")
    assert refused.returncode == 2
    assert "every manifest" in refused.stderr
    assert run(embedded, store, "gc", "nowhere.parquet", "--apply").returncode == 2
    short = run(embedded, store, "gc", MANIFEST, "--apply", "--grace-days", "1")
    assert short.returncode == 2
    assert "at least 7 days" in short.stderr
    told = run(embedded, store, "gc")
    assert name in told.stdout
    assert "1 file; nothing was changed" in told.stdout
    listed = tmp_path / "manifests.txt"
    listed.write_text(f"# of every project\n{embedded / MANIFEST}\n")
    assert run(embedded, store, "gc", "--all-manifests", str(listed), "--apply").returncode == 0
    assert name not in log_of(store, "hash").segments()
    done = call(embedded, "diptych", "embed", DIPTYCH_STORE=str(store))
    assert ", 0 new, 0 failed" in done.stdout


def test_repair_moves_damage_away_and_restores_a_record(embedded, store):
    log = log_of(store, "hash")
    (name,) = log.segments()
    path = store / log.folder / "segments" / name
    path.write_bytes(path.read_bytes()[:100])
    (store / log_of(store, "colorhist").folder / "encoder.json").unlink()
    assert run(embedded, store, "verify").returncode == 1
    assert "nothing was changed" in run(embedded, store, "repair").stdout
    assert path.exists()
    assert run(embedded, store, "repair", "--apply").returncode == 0
    assert run(embedded, store, "verify", "--rows").returncode == 0
    done = call(embedded, "diptych", "embed", DIPTYCH_STORE=str(store))
    assert done.returncode == 0
    assert " 0 new" in next(line for line in done.stdout.splitlines() if "image-colors" in line)
    assert "0 cached" in next(line for line in done.stdout.splitlines() if "caption-hash" in line)


def test_conflicts_and_planted_vectors_are_found(embedded, store):
    log = log_of(store, "colorhist")
    whole = log.files.read(log.segments()[0])
    rounded = whole.vectors[:5].copy()
    rounded[:, np.argmax(rounded[0])] *= np.float16(1.001)
    log.append(whole.keys[:5], rounded, {"device": "cuda"})
    tolerated = run(embedded, store, "verify", "--conflicts")
    assert tolerated.returncode == 0
    assert "5 rows differ" in tolerated.stdout
    assert "rounding" in tolerated.stdout
    for path in (store / log.folder / "segments").iterdir():
        path.unlink()
    log.append(whole.keys, np.ascontiguousarray(whole.vectors[::-1]), {"device": "planted"})
    assert run(embedded, store, "verify", "--rows").returncode == 0
    found = run(embedded, store, "verify", "--reencode", "20%")
    assert found.returncode == 1
    assert "image-colors: the stored vector of" in found.stderr
    assert "caption-hash: the stored" not in found.stderr
    assert run(embedded, store, "verify", "--reencode", "200%").returncode == 2


def test_explain_tells_hits_and_the_field_of_a_miss(embedded, store, tmp_path):
    item = _first_id(embedded)
    hits = json.loads(run(embedded, store, "explain", item, "--json").stdout)
    assert {each["wanted"]: each["verdict"][:3] for each in hits} == {"caption-hash": "hit", "image-colors": "hit"}
    key = hits[0]["verdict"].rpartition(" ")[2]
    assert "1 encoders have a vector" in run(embedded, store, "explain", key).stdout
    other = tmp_path / "other"
    shutil.copytree(embedded, other, ignore=shutil.ignore_patterns(".diptych"))
    changed = {**SMALL, "embed": {"caption-hash": {**SMALL["embed"]["caption-hash"], "dtype": "float32"}}}
    write_params(other, {**changed, "fuse": {}, "train": {"dummy": SMALL["train"]["dummy"]}, "retrieve": {}})
    told = run(other, store, "explain", item)
    assert "miss" in told.stdout
    assert "dtype: 'float32' != 'float16'" in told.stdout
    wrong = run(embedded, store, "explain", item + "x")
    assert wrong.returncode == 2
    assert "did you mean" in wrong.stderr
    rejects = embedded / "data/prepare/rejects.csv"
    before = rejects.read_text()
    rejects.write_text("id,where,reason,detail\nodd-1,row 7,no_label,empty cell\n")
    rejected = run(embedded, store, "explain", "odd-1")
    rejects.write_text(before)
    assert "which prepare rejected: no_label (row 7) empty cell" in rejected.stderr


def _first_id(project: Path) -> str:
    from store.items.manifest import Manifest

    return Manifest.open(project / MANIFEST).ids()[0]
