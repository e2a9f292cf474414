"""Signatures: with trusted keys a store shows only what one of them signed, on a folder and on an object storage."""

from __future__ import annotations

import base64
import itertools
import logging
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import PrivateFormat

from store import (
    AllowedSigners,
    EncoderLog,
    FeatureStore,
    Fingerprint,
    Signer,
    SigningError,
    compact,
    repair,
    sign_sound,
    verify,
)
from store.features import log as log_module
from store.features.segment_files import SegmentFiles
from store.segments.segment import row_digests
from store.trust.signing import signed_message

DIM = 6
ZEROS = "0" * 64
NAME = f"h5-1-1-{ZEROS}.h5"


@pytest.fixture
def ann() -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(b"a" * 32))


@pytest.fixture
def bob() -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(b"b" * 32))


@pytest.fixture
def mallory() -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(b"m" * 32))


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"memory://signing-{uuid.uuid4().hex}"


def trusting(*signers: Signer) -> AllowedSigners:
    return AllowedSigners(each._key.public_key() for each in signers)


def open_log(root: str, fingerprint: Fingerprint, signer: Signer | None = None, *trusted: Signer) -> EncoderLog:
    keys = trusting(*trusted) if trusted else None
    return FeatureStore(root, durability="none", signer=signer, trusted=keys).open(fingerprint, DIM, "float32")


def read_all(log: EncoderLog, keys: np.ndarray) -> np.ndarray:
    return log.read(log.locate(keys), slice(None))


def signature_path(log: EncoderLog, name: str, signer: Signer) -> str:
    return f"{log.files.signatures.folder}/{name}.{signer.key_id}.sig"


def smaller(vectors: np.ndarray) -> np.ndarray:
    """Grind other vectors until each row's digest is smaller, as an attacker would to win every tie-break."""
    found = vectors.copy()
    for row in range(len(vectors)):
        aim = row_digests(vectors[row : row + 1]).tobytes()
        for step in itertools.count(1):
            found[row, 0] = step
            if row_digests(found[row : row + 1]).tobytes() < aim:
                break
    return found


# What lookups see


def test_poison_that_would_win_the_tie_break_is_not_seen(root, fingerprint, make_rows, ann, caplog):
    keys, vectors = make_rows(0, 10)
    name = open_log(root, fingerprint, ann).append(keys, vectors, {})
    poisoned = open_log(root, fingerprint).append(keys, smaller(vectors), {"by": "mallory"})
    assert not np.array_equal(read_all(open_log(root, fingerprint), keys), vectors)
    log = open_log(root, fingerprint, None, ann)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            np.testing.assert_array_equal(read_all(log, keys), vectors)
    assert log.segments() == [name]
    assert [entry.name for _, entry in log.files.all_entries()] == sorted([name, poisoned])
    (record,) = caplog.records
    assert "1 segments without a trusted signature were left out" in record.getMessage()


def test_a_reader_without_keys_sees_everything(root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 10)
    open_log(root, fingerprint, ann).append(keys[:5], vectors[:5], {})
    open_log(root, fingerprint).append(keys[5:], vectors[5:], {})
    np.testing.assert_array_equal(read_all(open_log(root, fingerprint), keys), vectors)
    assert verify(FeatureStore(root), rows=True) == []


def test_the_cached_key_table_of_an_unsigned_segment_is_not_used(tmp_path, root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    cache = tmp_path / "cache"
    unsigned = FeatureStore(root, durability="none", cache=cache).open(fingerprint, DIM, "float32")
    unsigned.append(keys, vectors, {})
    assert unsigned.locate(keys).found.all()
    store = FeatureStore(root, durability="none", cache=cache, trusted=trusting(ann))
    assert not store.open(fingerprint, DIM, "float32").locate(keys).found.any()


def test_two_signers_of_one_segment(root, fingerprint, make_rows, ann, bob):
    keys, vectors = make_rows(0, 5)
    names = {open_log(root, fingerprint, signer).append(keys, vectors, {}) for signer in (ann, bob)}
    assert len(names) == 1
    for signers in ((ann,), (bob,), (ann, bob)):
        np.testing.assert_array_equal(read_all(open_log(root, fingerprint, None, *signers), keys), vectors)


def test_a_key_that_is_no_longer_trusted(root, fingerprint, make_rows, ann, bob):
    keys, vectors = make_rows(0, 10)
    open_log(root, fingerprint, ann).append(keys[:5], vectors[:5], {})
    open_log(root, fingerprint, bob).append(keys[5:], vectors[5:], {})
    assert open_log(root, fingerprint, None, ann, bob).locate(keys).found.all()
    assert open_log(root, fingerprint, None, ann).locate(keys).found.tolist() == [True] * 5 + [False] * 5


# Signatures that are none


def test_forged_and_truncated_signatures_are_refused(root, fingerprint, make_rows, ann, mallory):
    keys, vectors = make_rows(0, 5)
    log = open_log(root, fingerprint)
    name = log.append(keys, vectors, {})
    good, forged = ann.sign(fingerprint.digest, name), mallory.sign(fingerprint.digest, name)
    path = signature_path(log, name, ann)
    for content in (forged, good[:-1], good + b"\n", b"", bytes(64), bytes([good[0] ^ 1]) + good[1:]):
        log.files.backend.remove(path)
        log.files.backend.publish(path, content)
        assert not open_log(root, fingerprint, None, ann).locate(keys).found.any()
    log.files.backend.publish(path, good, heal=True)
    assert open_log(root, fingerprint, None, ann).locate(keys).found.all()


def test_a_signature_moved_to_another_segment_is_refused(root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    log = open_log(root, fingerprint, ann)
    name = log.append(keys, vectors, {})
    other = open_log(root, fingerprint).append(keys, smaller(vectors), {})
    log.files.backend.publish(signature_path(log, other, ann), ann.sign(fingerprint.digest, name))
    np.testing.assert_array_equal(read_all(open_log(root, fingerprint, None, ann), keys), vectors)


def test_a_signature_of_another_encoders_segment_is_refused(root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    log = open_log(root, fingerprint)
    name = log.append(keys, vectors, {})
    other = Fingerprint.of("tiny", {"weights": "sha256:01"})
    log.files.backend.publish(signature_path(log, name, ann), ann.sign(other.digest, name))
    assert not open_log(root, fingerprint, None, ann).locate(keys).found.any()


def test_a_signature_by_another_key_under_the_name_of_a_trusted_one(root, fingerprint, make_rows, ann, mallory):
    keys, vectors = make_rows(0, 5)
    log = open_log(root, fingerprint, mallory)
    name = log.append(keys, vectors, {})
    log.files.backend.publish(signature_path(log, name, ann), mallory.sign(fingerprint.digest, name))
    assert not open_log(root, fingerprint, None, ann).locate(keys).found.any()


def test_foreign_files_between_the_signatures_are_ignored(root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    log = open_log(root, fingerprint, ann)
    name = log.append(keys, vectors, {})
    for odd in (".DS_Store", ".sig", f"{name}.sig", f"{name}.{'g' * 16}.sig", f"x.{ann.key_id}.sig", f"{name}.ff.sig"):
        log.files.backend.publish(f"{log.files.signatures.folder}/{odd}", bytes(64))
    assert open_log(root, fingerprint, None, ann).locate(keys).found.all()


def test_a_link_in_place_of_a_signature_is_refused(tmp_path, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    log = open_log(str(tmp_path / "s"), fingerprint, ann)
    path = tmp_path / "s" / signature_path(log, log.append(keys, vectors, {}), ann)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not open_log(str(tmp_path / "s"), fingerprint, None, ann).locate(keys).found.any()
    path.unlink()
    os.mkfifo(path)
    assert not open_log(str(tmp_path / "s"), fingerprint, None, ann).locate(keys).found.any()


# Writing


def test_each_part_of_a_large_append_is_signed_after_its_segment(root, fingerprint, make_rows, ann, monkeypatch):
    monkeypatch.setattr(log_module, "rows_per_segment", lambda *_: 4)
    keys, vectors = make_rows(0, 10)
    log = open_log(root, fingerprint, ann, ann)
    log.probe_writable()
    log.append(keys, vectors, {})
    assert len(log.segments()) == 3
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_a_writer_whose_rows_nobody_would_see_is_refused_first(root, fingerprint, make_rows, ann, bob):
    for log in (open_log(root, fingerprint, None, ann), open_log(root, fingerprint, bob, ann)):
        for refused in (log.probe_writable, lambda log=log: log.append(*make_rows(0, 5), {})):
            with pytest.raises(SigningError) as caught:
                refused()
            assert caught.value.exit_code == 2
    assert not FeatureStore(root).exists()


def test_a_healed_segment_and_a_healed_signature_count_again(root, fingerprint, make_rows, ann):
    keys, vectors = make_rows(0, 5)
    writer = open_log(root, fingerprint, ann)
    name = writer.append(keys, vectors, {})
    backend = writer.files.backend
    for path in (writer.files.path(name), signature_path(writer, name, ann)):
        backend.publish(path, b"damaged", heal=True)
        reader = open_log(root, fingerprint, None, ann)
        assert not reader.locate(keys).found.any()
        assert open_log(root, fingerprint, ann).append(keys, vectors, {}) == name
        np.testing.assert_array_equal(read_all(open_log(root, fingerprint, None, ann), keys), vectors)
    assert reader.locate(keys).found.all()  # the same object sees the mended signature


def test_each_signature_is_read_once(root, fingerprint, make_rows, ann, mallory, monkeypatch):
    log = open_log(root, fingerprint, ann)
    for start in range(0, 15, 5):
        name = log.append(*make_rows(start, start + 5), {})
    reader = open_log(root, fingerprint, None, ann)
    log.files.backend.publish(signature_path(log, name, ann), mallory.sign(fingerprint.digest, name), heal=True)
    read: list[str] = []
    original: Callable[..., bytes] = reader.files.backend.read
    monkeypatch.setattr(
        reader.files.backend, "read", lambda path, limit: read.append(path) or original(path, limit), raising=True
    )
    for _ in range(3):
        assert reader.locate(make_rows(0, 15)[0]).found.sum() == 10
    signatures = [path for path in read if path.endswith(".sig")]
    assert len(signatures) == 3


# Looking after the store


def test_verify_names_what_no_trusted_key_signed(root, fingerprint, make_rows, ann):
    open_log(root, fingerprint, ann).append(*make_rows(0, 5), {})
    unsigned = open_log(root, fingerprint).append(*make_rows(5, 10), {})
    (problem,) = verify(FeatureStore(root, trusted=trusting(ann)))
    assert (problem.segment, "signature of a trusted key" in problem.what) == (unsigned, True)
    assert verify(FeatureStore(root)) == []


def test_signing_what_is_there_leaves_out_what_is_not_sound(root, fingerprint, make_rows, ann):
    log = open_log(root, fingerprint)
    log.append(*make_rows(0, 5), {})
    damaged = log.append(*make_rows(5, 10), {})
    log.files.backend.publish(log.files.path(damaged), b"damaged", heal=True)
    store = FeatureStore(root, durability="none", signer=ann, trusted=trusting(ann))
    (report,) = sign_sound(store)
    assert (report.encoder, report.signed, report.kept) == ("tiny", 1, 0)
    assert [name for name, _ in report.unsound] == [damaged]
    (again,) = sign_sound(store, "tiny")
    assert (again.signed, again.kept) == (0, 1)
    assert sign_sound(store, "other") == []
    assert open_log(root, fingerprint, None, ann).locate(make_rows(0, 10)[0]).found.sum() == 5


def test_a_segment_that_vanishes_before_it_is_read_is_not_signed(root, fingerprint, make_rows, ann, monkeypatch):
    log = open_log(root, fingerprint)
    name = log.append(*make_rows(0, 5), {})
    listed = SegmentFiles.all_entries

    def list_then_remove(files: SegmentFiles) -> object:
        found = listed(files)
        files.backend.remove(files.path(name))
        return found

    monkeypatch.setattr(SegmentFiles, "all_entries", list_then_remove)
    (report,) = sign_sound(FeatureStore(root, durability="none", signer=ann))
    assert (report.signed, report.unsound) == (0, ())
    assert log.files.backend.files(log.files.signatures.folder) == []


def test_signing_needs_a_key_that_counts(root, ann, bob):
    for store in (FeatureStore(root), FeatureStore(root, signer=bob, trusted=trusting(ann))):
        with pytest.raises(SigningError):
            sign_sound(store)


def test_a_repair_leaves_what_nobody_signed_where_it_is(root, fingerprint, make_rows, ann):
    log = open_log(root, fingerprint)
    name = log.append(*make_rows(0, 5), {})
    (found,) = repair(FeatureStore(root, durability="none", trusted=trusting(ann)), apply=True)
    assert (found.remedy, "signature" in found.problem) == ("", True)
    assert log.segments() == [name]


def test_a_merged_segment_is_signed_and_poison_is_not_merged_into_it(root, fingerprint, make_rows, ann, bob):
    keys, vectors = make_rows(0, 20)
    for signer, start in ((ann, 0), (bob, 10)):
        part = slice(start, start + 10)
        open_log(root, fingerprint, signer).append(keys[part], vectors[part], {})
    poisoned = open_log(root, fingerprint).append(keys, smaller(vectors), {})
    (merge,) = compact(FeatureStore(root, durability="none", signer=ann, trusted=trusting(ann, bob)), apply=True)
    assert poisoned not in merge.inputs
    log = open_log(root, fingerprint, None, ann)
    assert log.segments() == [merge.output]
    np.testing.assert_array_equal(read_all(log, keys), vectors)


def test_signed_segments_are_merged_by_nobody_who_cannot_vouch_for_them(root, fingerprint, make_rows, ann, bob):
    keys, vectors = make_rows(0, 20)
    for start in (0, 10):
        open_log(root, fingerprint, ann).append(keys[start : start + 10], vectors[start : start + 10], {})
    for signer in (None, bob):
        with pytest.raises(SigningError):
            compact(FeatureStore(root, durability="none", signer=signer, trusted=trusting(ann)), apply=True)
        assert compact(FeatureStore(root, durability="none", signer=signer), apply=True) == []
    assert open_log(root, fingerprint, None, ann).locate(keys).found.all()


def test_merging_unsigned_segments_does_not_vouch_for_them(root, fingerprint, make_rows, ann):
    for start in (0, 10):
        open_log(root, fingerprint).append(*make_rows(start, start + 10), {})
    (merge,) = compact(FeatureStore(root, durability="none", signer=ann), apply=True)
    assert merge.output
    assert open_log(root, fingerprint, None, ann).segments() == []


# The files of keys


def test_a_key_file_is_its_owners_alone_and_never_overwritten(tmp_path):
    path = tmp_path / "key"
    made = Signer.generate()
    made.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Signer.load(path).sign("f", NAME) == made.sign("f", NAME)
    content = path.read_bytes()
    with pytest.raises(SigningError, match="expected a new file"):
        Signer.generate().save(path)
    assert path.read_bytes() == content
    for mode in (0o640, 0o604, 0o610, 0o602):
        path.chmod(mode)
        with pytest.raises(SigningError, match=f"found mode {mode:04o}; run `chmod 600`"):
            Signer.load(path)
    path.chmod(0o400)
    assert Signer.load(path).key_id == made.key_id
    with pytest.raises(SigningError, match="No such file"):
        made.save(tmp_path / "no" / "key")


def private(key: Ed25519PrivateKey | X25519PrivateKey | RSAPrivateKey, kind: PrivateFormat) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def ssh_keygen(folder: Path, passphrase: str = "") -> Path:
    """Make a key as a person does."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed here")
    path = folder / "made"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "ann@example.org", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_a_key_of_ssh_keygen_signs_and_its_public_line_is_trusted(tmp_path):
    path = ssh_keygen(tmp_path)
    (tmp_path / "allowed_signers").write_text(f"ann@example.org {path.with_suffix('.pub').read_text()}")
    signer, trusted = Signer.load(path), AllowedSigners.load(tmp_path / "allowed_signers")
    assert trusted.verify(signer.key_id, "f", NAME, signer.sign("f", NAME))


def test_ssh_keygen_reads_what_we_write(tmp_path, ann):
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed here")
    ann.save(tmp_path / "key")
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(tmp_path / "key")], check=True, capture_output=True, text=True)
    assert ann.allowed_line("ann@example.org") == f"ann@example.org {done.stdout.strip()}"


def test_a_passphrase_is_refused(tmp_path):
    path = ssh_keygen(tmp_path, "unsayable")
    with pytest.raises(SigningError, match=r"without a passphrase .* found one with a passphrase") as caught:
        Signer.load(path)
    assert "unsayable" not in str(caught.value)


def test_a_key_of_an_older_version_is_refused_and_its_remedy_named(tmp_path, ann):
    (tmp_path / "key").write_bytes(private(ann._key, PrivateFormat.PKCS8))
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(SigningError, match=r"found one in PEM, .*, which docs/sharing\.md converts"):
        Signer.load(tmp_path / "key")


def test_other_keys_are_refused_and_nothing_of_them_is_told(tmp_path, ann):
    path = tmp_path / "key"
    good = private(ann._key, PrivateFormat.OpenSSH).decode()
    secret = good.splitlines()[3]  # the seed begins in the line before
    for content in (
        b"",
        good.encode()[:-40],
        good.replace(secret, secret[:-3] + "AAA=").encode(),
        good.replace(secret, "").encode(),
        secret.encode(),
        private(generate_private_key(65537, 2048), PrivateFormat.OpenSSH),
        private(X25519PrivateKey.generate(), PrivateFormat.PKCS8),
        ann.allowed_line("ann").encode(),
        ann.allowed_line("ann").partition(" ")[2].encode(),
    ):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(SigningError, match="expected an ed25519 private key of OpenSSH") as caught:
            Signer.load(path)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert secret[:12] not in str(caught.value)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(SigningError, match="expected a private key"):
            Signer.load(missing)
    assert secret[:12] not in repr(ann) + str(vars(ann))


def test_the_list_of_allowed_signers(tmp_path, ann, bob):
    path = tmp_path / "allowed_signers"
    lines = [
        "# who may fill the store\n",
        "\n",
        f"{ann.allowed_line('ann@laptop')} her laptop\r\n",
        bob.allowed_line("Bób"),
    ]
    path.write_text("".join(lines))
    keys = AllowedSigners.load(path)
    assert (len(keys), ann.key_id in keys, bob.key_id in keys) == (2, True, True)
    assert keys.verify(ann.key_id, "f", NAME, ann.sign("f", NAME))
    assert not keys.verify(ann.key_id, "g", NAME, ann.sign("f", NAME))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one key"),
        ("# nobody\n", "at least one key"),
        ("{a}\n{a}\n", ":2: expected each key once"),
        ("{a}\nbob {key}\n", ":2: expected each key once"),
        ("# x\nann ssh-rsa AAAA\n", ":2: expected `<principal> ssh-ed25519"),
        ("{key}\n", ":1: expected `<principal> ssh-ed25519"),
        ("{key} ann\n", ":1: expected `<principal> ssh-ed25519"),
        ("ann\n", ":1: expected `<principal> ssh-ed25519"),
        ("ann ssh-ed25519\n", ":1: expected `<principal> ssh-ed25519"),
        ('ann namespaces="git" {key}\n', ":1: expected `<principal> ssh-ed25519"),
        ("ann cert-authority {key}\n", ":1: expected `<principal> ssh-ed25519"),
        ('ann valid-before="20300101" {key}\n', ":1: expected `<principal> ssh-ed25519"),
        (" {a}\n", ":1: expected who signs as one word"),
        ('"Ann Other" {key}\n', ":1: expected who signs as one word"),
        ("x" * 300 + " {key}\n", ":1: expected who signs as one word"),
        ("ann ssh-ed25519 AAAA\n", ":1: expected an ed25519 public key"),
        ("ann ssh-ed25519 ****************\n", ":1: expected an ed25519 public key"),
        ("ann ssh-ed25519 {base64}A\n", ":1: expected an ed25519 public key"),
        ("ann ssh-ed25519 {base64}=\n", ":1: expected an ed25519 public key"),
        ("{a}\x1b[2J\n", ":1: expected printable characters"),
        ("ann\t{key}\n", ":1: expected printable characters"),
        ("ann\xa0{key}\n", ":1: expected printable characters"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", ":1: expected `<principal> ssh-ed25519"),
        ("ed25519 {raw} Ann\n", ":1: expected `<principal> ssh-ed25519"),
        ("# reviewed\u2028{a}", "at least one key"),
        ("\udcff", "expected UTF-8"),
    ],
)
def test_a_wrong_list_is_refused_with_the_line(tmp_path, ann, text, said):
    path = tmp_path / "allowed_signers"
    line = ann.allowed_line("ann")
    key = line.removeprefix("ann ")
    raw = base64.b64encode(ann._key.public_key().public_bytes_raw()).decode()
    content = text.replace("{a}", line).replace("{key}", key).replace("{base64}", key.split()[1]).replace("{raw}", raw)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SigningError) as caught:
        AllowedSigners.load(path)
    assert said in str(caught.value)
    assert "PRIVATE" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(SigningError, match="expected the list of allowed signers"):
        AllowedSigners.load(tmp_path / "none")


def test_what_is_signed_is_unambiguous(ann):
    assert signed_message("ab", NAME) == f"diptych/segment-signature/1\nab\n{NAME}\n".encode()
    for principal in ("two\nlines", "two words", "", "#ann", '"ann"'):
        with pytest.raises(SigningError, match="who signs in one word"):
            ann.allowed_line(principal)


def test_a_signature_made_before_keys_were_openssh_still_counts(ann):
    """What an older version signed with the key of this seed: neither the name of the key nor the message moved."""
    made = "52f7e21923618650cd0cd0d4f986a339de0b279d6b144cd0b7f011c5c6d71fe1"
    made += "2e81a3cc8dcc10ef6e6f8374c5e7547e6b58751586bf56ed1cce435d7c6a3004"
    assert ann.key_id == "a3c761e56d55f45e"
    assert trusting(ann).verify("a3c761e56d55f45e", "ab" * 32, NAME, bytes.fromhex(made))
