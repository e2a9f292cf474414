"""A root that everybody may write to is told; who owns it is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from store import FeatureStore, exposure, foreign_owner


@pytest.mark.parametrize(("mode", "told"), [(0o777, True), (0o2777, True), (0o1777, False), (0o2775, False)])
def test_a_world_writable_root_is_told(tmp_path: Path, mode: int, told: bool) -> None:
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(mode)
    assert (f"found mode {mode:04o}" in exposure(FeatureStore(root).backend)) == told


def test_what_is_no_folder_is_not_exposed(tmp_path: Path) -> None:
    for address in (tmp_path / "none", "memory://exposure"):
        assert exposure(FeatureStore(address).backend) == ""
        assert foreign_owner(FeatureStore(address).backend) is None


def test_the_owner_of_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FeatureStore(tmp_path).backend
    assert foreign_owner(backend) is None
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
        assert foreign_owner(backend) == 12345
        return
    monkeypatch.setattr(os, "geteuid", lambda: 54321)  # the look from another account; only root may change owners
    assert foreign_owner(backend) == tmp_path.stat().st_uid
