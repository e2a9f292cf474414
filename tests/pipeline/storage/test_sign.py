"""Signing from the command line, on a real project: keys are made, trusted, used, and never shown."""

from __future__ import annotations

import base64
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.machine import doctor
from pipeline.machine.doctor import Finding
from pipeline.machine.settings import load_settings
from store import AllowedSigners, Signer, SigningError
from store.errors import InputError
from tests.pipeline.project import ROOT, call, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with one encoder's unsigned vectors in its store."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    for command in (["prepare"], ["embed", "caption-hash"]):
        done = call(folder, "diptych", *command)
        assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_team_starts_to_sign(project: Path, tmp_path: Path) -> None:
    key = tmp_path / "ann"
    made = call(project, "diptych", "store", "keygen", str(key), "--principal", "ann@example.org")
    assert (made.returncode, made.stdout.count("\n")) == (0, 1)
    assert made.stdout.startswith("ann@example.org ssh-ed25519 AAAA")
    assert key.stat().st_mode & 0o777 == 0o600
    said = [made]
    (project / "allowed_signers").write_text("# who may fill the store\n" + made.stdout)

    # Nothing is trusted yet, and without a key nothing could be added: told before the model is loaded.
    unsigned = call(project, "diptych", "embed", "caption-hash")
    assert unsigned.returncode == 2
    assert "expected a signing key" in unsigned.stderr
    assert "without a trusted signature were left out" in unsigned.stderr
    verified = call(project, "diptych", "store", "verify")
    assert verified.returncode == 1
    assert "expected a valid signature of a trusted key" in verified.stderr

    signing = {"DIPTYCH_SIGNING_KEY": str(key)}
    signed = call(project, "diptych", "store", "sign", "--encoder", "hash", **signing)
    assert (signed.returncode, signed.stdout) == (0, "hash: 1 segments signed, 0 were before\n")
    again = call(project, "diptych", "store", "sign", **signing)
    assert again.stdout == "hash: 0 segments signed, 1 were before\n"
    assert call(project, "diptych", "store", "verify", "--rows").returncode == 0
    cached = call(project, "diptych", "embed", "caption-hash")
    assert cached.returncode == 0
    assert "left out" not in cached.stderr
    images = call(project, "diptych", "embed", "image-colors", **signing)
    assert images.returncode == 0
    assert call(project, "diptych", "store", "verify").returncode == 0
    said += [unsigned, verified, signed, again, cached, images]

    secret = key.read_text().splitlines()[1].encode()
    assert not any(secret in (each.stdout + each.stderr).encode() for each in said)
    written = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert not any(secret in path.read_bytes() for path in written)


def test_keygen_never_overwrites_and_never_writes_into_the_project(project: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    for file, said in ((there, "expected a new file"), (project / "key.pem", "outside the project"), ("k", "outside")):
        done = call(project, "diptych", "store", "keygen", str(file))
        assert done.returncode == 2
        assert said in done.stderr
    assert there.read_text() == "mine"
    assert not (project / "key.pem").exists()
    assert call(tmp_path, "diptych", "store", "keygen", "new.pem").returncode == 0  # also outside any project


def test_what_cannot_be_signed_is_wrong_input(project: Path, tmp_path: Path) -> None:
    done = call(project, "diptych", "store", "sign", "--encoder", "hsh")
    assert done.returncode == 2
    assert "did you mean 'hash'" in done.stderr
    for store in (tmp_path / "typo", project / ".diptych" / "store"):
        assert call(project, "diptych", "store", "sign", DIPTYCH_STORE=str(store)).returncode == 2


def test_wrong_files_of_keys_are_told_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_settings(Path("local.toml"), {}).feature_store("zarr.zip")
    for name in ("DIPTYCH_SIGNING_KEY", "DIPTYCH_ALLOWED_SIGNERS"):
        with pytest.raises(SigningError, match="No such file"):
            load_settings(Path("local.toml"), {name: "none"}).feature_store("zarr.zip")
    Path("allowed_signers").symlink_to("nowhere")
    with pytest.raises(SigningError, match="git checkout"):
        load_settings(Path("local.toml"), {}).feature_store("zarr.zip")
    Path("allowed_signers").unlink()
    Path("allowed_signers").write_text("ann ssh-ed25519 ?\n")
    with pytest.raises(SigningError, match="allowed_signers:1"):
        load_settings(Path("local.toml"), {}).feature_store("zarr.zip")


def test_the_list_of_an_older_version_is_never_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trusted-keys.txt").touch()
    for _ in range(2):
        with pytest.raises(InputError, match=r"found trusted-keys\.txt of an older version; convert it"):
            load_settings(Path("local.toml"), {}).feature_store("zarr.zip")
        Path("trusted-keys.txt").unlink()
        Path("trusted-keys.txt").symlink_to("nowhere")
    Path("allowed_signers").write_text(Signer.generate().allowed_line("ann"))
    assert load_settings(Path("local.toml"), {}).feature_store("zarr.zip").signing.trusted is not None
    with pytest.raises(InputError, match="DIPTYCH_TRUSTED_KEYS: unknown"):
        load_settings(Path("local.toml"), {"DIPTYCH_TRUSTED_KEYS": "trusted-keys.txt"})


def test_keys_and_lists_of_older_versions_are_converted_as_the_page_says(tmp_path: Path) -> None:
    seed = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    raw = base64.b64encode(seed.public_key().public_bytes_raw()).decode()
    (tmp_path / "trusted-keys.txt").write_text(f"# ours\n\ned25519 {raw} Ann, laptop\n")
    old = tmp_path / ".config/diptych/signing.pem"
    old.parent.mkdir(parents=True)
    old.write_bytes(seed.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    old.chmod(0o600)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sharing.md").read_text("utf-8"), re.DOTALL)
    done = call(tmp_path, sys.executable, "-c", block, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "allowed_signers").read_text().startswith("Ann,-laptop ssh-ed25519 AAAA")
    signer, trusted = Signer.load(old), AllowedSigners.load(tmp_path / "allowed_signers")
    assert trusted.verify(signer.key_id, "f", "s", seed.sign(b"diptych/segment-signature/1\nf\ns\n"))
    assert old.stat().st_mode & 0o777 == 0o600


def test_the_steps_of_the_documentation_work_as_they_stand(project: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sharing.md").read_text("utf-8")
    (block,) = [each for each in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "keygen" in each]
    who = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = call(project, "bash", "-ec", block, HOME=str(tmp_path), **who)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".config/diptych/signing-key").stat().st_mode & 0o777 == 0o600
    assert call(project, "diptych", "store", "verify").returncode == 0
    assert "allowed_signers" in call(project, "git", "ls-files").stdout


def test_doctor_tells_of_a_store_that_everybody_may_write_to(project: Path, tmp_path: Path) -> None:
    store = shutil.copytree(project / ".diptych" / "store", tmp_path / "store")
    store.chmod(0o777)
    bad = {each.name: each for each in _examine(project, store) if not each.good}
    assert "0777" in bad["store access"].found
    assert bad["store access"].remedy == "run `chmod o-w` on it"
    store.chmod(0o775)
    assert "store access" not in {each.name for each in _examine(project, store)}


def _examine(project: Path, store: Path) -> list[Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("DIPTYCH_STORE", str(store))
        return list(doctor._store())
