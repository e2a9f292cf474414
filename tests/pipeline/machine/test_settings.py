"""Settings of the machine: the environment wins over local.toml, and nothing unknown is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.machine.settings import load_settings
from store import UnsupportedStore
from store.errors import InputError


def test_defaults_need_no_file(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "local.toml", {})
    assert settings.store == ".diptych/store"
    assert settings.device == "auto"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    local = tmp_path / "local.toml"
    local.write_text('store = "/shared/a"\nworkers = 3\n')
    settings = load_settings(local, {"DIPTYCH_STORE": "/shared/b", "HOME": "/x"})
    assert (settings.store, settings.workers) == ("/shared/b", 3)


@pytest.mark.parametrize("engine", ["auto", "torch", "openvino"])
def test_the_engine_is_the_machines_choice(tmp_path: Path, engine: str) -> None:
    assert load_settings(tmp_path / "local.toml", {"DIPTYCH_ENGINE": engine}).engine == engine
    assert load_settings(tmp_path / "local.toml", {}).engine == "auto"


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ('stroe = "x"', {}, "did you mean 'store'"),
        ("", {"DIPTYCH_WORKER": "2"}, "did you mean 'DIPTYCH_WORKERS'"),
        ("", {"DIPTYCH_WORKERS": "none"}, "DIPTYCH_WORKERS"),
        ("", {"DIPTYCH_ENGINE": "bogus"}, "DIPTYCH_ENGINE.*'auto', 'torch' or 'openvino'"),
        ('engine = "tensorrt"', {}, "engine.*'auto', 'torch' or 'openvino'"),
        ("workers = 0", {}, "greater than or equal to 1"),
        ("workers = ", {}, "expected TOML"),
        ('store = "$NOWHERE/x"', {}, r"store: expected variables that are set, found \$NOWHERE"),
        ("", {"DIPTYCH_SPILL": "/x/$"}, r"DIPTYCH_SPILL: expected a name behind each \$"),
        ('cache = "~nobody-here/x"', {}, "cache: expected a user with a home"),
    ],
)
def test_wrong_settings_are_errors(tmp_path: Path, text: str, environment: dict[str, str], said: str) -> None:
    local = tmp_path / "local.toml"
    local.write_text(text)
    with pytest.raises(InputError, match=said):
        load_settings(local, environment)


def test_a_store_of_an_unknown_kind_is_wrong_input(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "local.toml", {"DIPTYCH_STORE": "ftp://host/store"})
    with pytest.raises(UnsupportedStore, match="ftp://") as caught:
        settings.feature_store("zarr.zip")
    assert caught.value.exit_code == 2


def test_the_spill_is_a_local_folder_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    default = load_settings(tmp_path / "local.toml", {}).spill_store("h5")
    assert default.address == str(tmp_path / ".diptych" / "spill")
    assert default.segment_format == "h5"
    other = load_settings(tmp_path / "local.toml", {"DIPTYCH_SPILL": "/scratch/spill"}).spill_store("zarr.zip")
    assert other.address == "/scratch/spill"
    assert not (tmp_path / ".diptych").exists()


def test_variables_and_the_home_are_put_into_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    local = tmp_path / "local.toml"
    local.write_text('store = "$HOME/store"\nspill = "${SCRATCH}/spill"\ncache = "~/cache"\nfailed = "a$$b"\n')
    settings = load_settings(
        local, {"HOME": "/home/ann", "SCRATCH": "/scratch", "DIPTYCH_LOG_JSON": "$SCRATCH/all.jsonl"}
    )
    assert (settings.store, settings.spill, settings.cache) == ("/home/ann/store", "/scratch/spill", "/home/ann/cache")
    assert (settings.failed, settings.log_json) == ("a$b", "/scratch/all.jsonl")


def test_a_byte_order_mark_is_read_over_and_utf16_named(tmp_path: Path) -> None:
    local = tmp_path / "local.toml"
    local.write_text("workers = 3\n", "utf-8-sig")
    assert load_settings(local, {}).workers == 3
    local.write_text("workers = 3\n", "utf-16")
    with pytest.raises(InputError, match=r"expected UTF-8.*save it as UTF-8"):
        load_settings(local, {})


def test_trusted_roots_are_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "local.toml"
    assert load_settings(local, {}).trusted_roots == ()
    assert load_settings(local, {"DIPTYCH_TRUSTED_ROOTS": "/a:b"}).trusted_roots == ("/a", str(tmp_path / "b"))
    local.write_text('trusted_roots = ["~/cache", "c"]')
    assert load_settings(local, {"HOME": "/h"}).trusted_roots == (
        str(Path("~/cache").expanduser()),
        str(tmp_path / "c"),
    )


@pytest.mark.parametrize("root", ["/", "", " ", "/usr/.."])
def test_a_trusted_root_that_would_trust_everything_is_refused(tmp_path: Path, root: str) -> None:
    with pytest.raises(InputError, match=r"DIPTYCH_TRUSTED_ROOTS.*name the narrowest"):
        load_settings(tmp_path / "local.toml", {"DIPTYCH_TRUSTED_ROOTS": root})
