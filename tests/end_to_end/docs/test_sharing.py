"""What docs/sharing.md tells a team is true: commands exist, settings are accepted, the policy fits its table."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipeline.cli import app
from pipeline.machine.settings import load_settings
from store.features.index import BYTES_PER_ROW
from store.segments.segment import rows_per_segment
from tests.pipeline.project import ROOT, environment

PAGE = (ROOT / "docs" / "sharing.md").read_text("utf-8")
ROLE = "arn:aws:iam::111111111111:role/diptych-"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_commands_exist() -> None:
    text = "\n".join(_blocks("console") + re.findall(r"`([^`\n]+)`", PAGE))
    top: Any = get_command(app)
    assert set(re.findall(r"diptych ([a-z]+)", text)) <= set(top.commands)
    store = set(re.findall(r"diptych store ([a-z]+)", text))
    assert {"keygen", "sign", "verify"} <= store
    assert store <= set(top.commands["store"].commands)


def test_its_settings_are_valid(tmp_path: Path) -> None:
    (block,) = _blocks("toml")
    (tmp_path / "local.toml").write_text(block)
    assert load_settings(tmp_path / "local.toml", {}).store == "/mnt/team/diptych-store"
    named = {name.lower() for name in re.findall(r"DIPTYCH_([A-Z_]+)", PAGE)} | {"signing_key", "allowed_signers"}
    assert named <= set(type(load_settings(tmp_path / "none", {})).model_fields)


@pytest.mark.slow
def test_its_dvc_commands_work(tmp_path: Path) -> None:
    (block,) = [each for each in _blocks("console") if "dvc remote" in each]
    who = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    script = f"set -e\ngit init -q\ndvc init -q\n{block}"
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment(**who), check=True, capture_output=True)
    assert "verify = true" in (tmp_path / ".dvc" / "config").read_text()


def test_its_policy_gives_each_role_what_the_table_says() -> None:
    (block,) = _blocks("json")
    statements = json.loads(block)["Statement"]
    allowed: dict[str, set[str]] = {"reader": set(), "writer": set(), "janitor": set()}
    for each in statements:
        if each["Effect"] == "Allow":
            principals, actions = each["Principal"]["AWS"], each["Action"]
            for role in [principals] if isinstance(principals, str) else principals:
                allowed[role.removeprefix(ROLE)] |= {actions} if isinstance(actions, str) else set(actions)
    see = {"s3:ListBucket", "s3:GetObject"}
    assert allowed["reader"] == see
    assert allowed["writer"] == {*see, "s3:PutObject"}
    assert allowed["janitor"] >= {*see, "s3:PutObject", "s3:DeleteObject"}
    denied = {json.dumps(each["Action"]): each["Condition"] for each in statements if each["Effect"] == "Deny"}
    assert len(denied) == 2
    assert all(c["ArnNotEquals"] == {"aws:PrincipalArn": f"{ROLE}janitor"} for c in denied.values())
    assert denied['"s3:PutObject"']["Null"] == {"s3:if-none-match": "true"}  # true: the header is absent


def test_its_figures_follow_from_the_code() -> None:
    rows = rows_per_segment(768, 4)
    for number, (count, index) in {10**6: ("47", "24 MB"), 16 * 10**6: ("744", "384 MB")}.items():
        assert f"| {-(-number // rows)} | {number * BYTES_PER_ROW // 10**6} MB |" == f"| {count} | {index} |"
        assert f"| {count} | {index} |" in PAGE
    assert f"| {-(-(10**9) // rows):,} | {10**9 * BYTES_PER_ROW // 10**9} GB |" in PAGE
