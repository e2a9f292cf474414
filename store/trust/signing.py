"""Who vouches for a segment: ed25519 keys of OpenSSH sign its name, and `allowed_signers` lists whom a team trusts.

A segment's name holds the SHA-256 of its bytes, so whoever signs the name signs the content; `signatures` keeps
the signatures beside the segments.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from store.errors import SigningError

SIGNATURE_BYTES = 64
KEY_ID_DIGITS = 16
_MAX_KEY_FILE_BYTES = 4096
_MAX_LIST_BYTES = 1 << 20
_MAX_PRINCIPAL = 200
_KEY_TYPE = "ssh-ed25519"
# Keeps a signature made for one purpose, or by a later layout, from being valid for another.
_DOMAIN = "diptych/segment-signature/1"
_KEY_FOR_ALL = stat.S_IRWXG | stat.S_IRWXO


def signed_message(fingerprint: str, segment: str) -> bytes:
    """Give the bytes that are signed: the purpose, the encoder's whole fingerprint digest, the segment's name."""
    # None of the three can hold a newline, so no two different triples give the same bytes.
    return f"{_DOMAIN}\n{fingerprint}\n{segment}\n".encode()


class Signer:
    """A private key in memory; nothing of it is ever shown.

    Attributes
    ----------
    key_id : str
        16 hexadecimal digits that name the key; a label only, what counts is the key itself.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = _key_id(key.public_key())

    @classmethod
    def load(cls, path: Path) -> Signer:
        """Read a private key file as `ssh-keygen -t ed25519 -N ""` makes it, readable by its owner only.

        A passphrase is refused: runs and their workers start with nobody there to type it.

        Raises
        ------
        SigningError
            When it is missing, others may read it, it has a passphrase, or it is not such a key.
        """
        path = path.expanduser()
        return cls(_parse_private(path, _read_private(path)))

    @classmethod
    def generate(cls) -> Signer:
        """Make a new key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    def save(self, path: Path) -> None:
        """Write the key to a new file, readable by its owner only.

        Raises
        ------
        SigningError
            When something is there already, or the file cannot be written.
        """
        text = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        _write_private(path.expanduser(), text)

    def sign(self, fingerprint: str, segment: str) -> bytes:
        """Sign one segment of an encoder; the same call always gives the same 64 bytes."""
        return self._key.sign(signed_message(fingerprint, segment))

    def allowed_line(self, principal: str) -> str:
        """Give the line of `allowed_signers` that makes others trust this key.

        Raises
        ------
        SigningError
            When the principal, who signs, is empty, too long, not printable, or not one word.
        """
        line = f"{principal} {_written(self._key.public_key())}"
        try:
            _parse_line(line)
        except ValueError as error:
            raise SigningError(f"principal: {error}; say who signs in one word, such as ann@example.org") from None
        return line

    def as_trusted(self) -> AllowedSigners:
        """Give the list that holds this key alone."""
        return AllowedSigners([self._key.public_key()])


class AllowedSigners:
    """The public keys whose signatures count.

    Parameters
    ----------
    keys : iterable of Ed25519PublicKey
    """

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {_key_id(key): key for key in keys}

    @classmethod
    def load(cls, path: Path) -> AllowedSigners:
        """Read OpenSSH's list: one ``<principal> ssh-ed25519 <public key> [comment]`` a line, and lines with ``#``.

        Options of a line (`namespaces`, `valid-before`, `cert-authority`) are refused, since none is followed here.

        Raises
        ------
        SigningError
            When it is missing, a line is not of that form, a key comes twice, or there is none.
        """
        path = path.expanduser()
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_LIST_BYTES + 1)
        except OSError as error:
            raise SigningError(
                f"expected the list of allowed signers at {path}, found: {error.strerror}; restore it with "
                "`git checkout`, or correct `allowed_signers` in local.toml (DIPTYCH_ALLOWED_SIGNERS)"
            ) from None
        keys = cls(_parse_list(path, data))
        if not len(keys):
            raise SigningError(
                f"expected at least one key in {path}, found none; add the line that `diptych store keygen` "
                "prints, or remove the file to trust everybody who may write to the store"
            )
        return keys

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def verify(self, key_id: str, fingerprint: str, segment: str, signature: bytes) -> bool:
        """Tell whether the key signed that segment of that encoder."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, signed_message(fingerprint, segment))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Signing:
    """How a store deals with signatures; the default neither signs nor asks for any."""

    signer: Signer | None = None
    trusted: AllowedSigners | None = None

    def check_writer(self) -> None:
        """See, before anything is computed, that lookups will find what this writer appends.

        Raises
        ------
        SigningError
            When only trusted segments are seen and ours would not be.
        """
        if self.trusted is None:
            return
        if self.signer is None:
            raise SigningError(
                "expected a signing key, because this project sees signed segments only, found none; make one with "
                "`diptych store keygen FILE`, and set DIPTYCH_SIGNING_KEY or `signing_key` in local.toml"
            )
        if self.signer.key_id not in self.trusted:
            raise SigningError(
                f"expected our signing key {self.signer.key_id} among the allowed signers, found it missing; "
                "add its line to allowed_signers: who signs, then what `ssh-keygen -y -f FILE` prints"
            )


UNSIGNED = Signing()


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_DIGITS]


def _written(key: Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _parse_private(path: Path, data: bytes) -> Ed25519PrivateKey:
    found = "something else"
    key: object = None
    try:
        key = serialization.load_ssh_private_key(data, password=None)
    except TypeError:  # what these errors say may quote the file
        found = "one with a passphrase, which nobody is there to type when a run starts"
    except (ValueError, UnsupportedAlgorithm):
        if data.startswith(b"-----BEGIN PRIVATE KEY-----"):
            found = "one in PEM, as older versions made it, which docs/sharing.md converts"
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(
            f"expected an ed25519 private key of OpenSSH without a passphrase at {path}, found {found}; make one with "
            '`ssh-keygen -t ed25519 -N "" -f FILE` or `diptych store keygen FILE`'
        )
    return key


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SigningError(
            f"expected a private key at {path}, found: {error.strerror}; correct `signing_key` in local.toml "
            "(DIPTYCH_SIGNING_KEY), or make one with `diptych store keygen FILE`"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SigningError(f"expected a private key file at {path}, found no regular file; name another")
        if status.st_mode & _KEY_FOR_ALL:
            raise SigningError(
                f"expected {path} to be readable by its owner only, found mode {stat.S_IMODE(status.st_mode):04o}; "
                "run `chmod 600` on it, or make a new key when others have read it"
            )
        return os.read(descriptor, _MAX_KEY_FILE_BYTES)
    finally:
        os.close(descriptor)


def _write_private(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)  # a hundred bytes go whole or not at all; `load` refuses anything less
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except FileExistsError:
        raise SigningError(f"expected a new file at {path}, found one that is there; name another") from None
    except OSError as error:
        told = f"expected to write a key to {path}, found: {error.strerror}; name a file in a folder of yours"
        raise SigningError(told) from None


def _parse_list(path: Path, data: bytes) -> list[Ed25519PublicKey]:
    if len(data) > _MAX_LIST_BYTES:
        raise SigningError(f"expected at most {_MAX_LIST_BYTES} bytes in {path}, found more; shorten it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SigningError(f"expected UTF-8 in {path}, found other bytes; save it as UTF-8") from None
    keys: dict[str, Ed25519PublicKey] = {}
    # Not splitlines(): it sees lines where a reviewer sees none.
    for number, line in enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1):
        if not line.strip(" ") or line.startswith("#"):
            continue
        try:
            key = _parse_line(line)
        except ValueError as error:
            raise SigningError(f"{path}:{number}: {error}; correct the line") from None
        if keys.setdefault(_key_id(key), key) is not key:
            raise SigningError(f"{path}:{number}: expected each key once, found one again; remove the line")
    return list(keys.values())


def _parse_line(line: str) -> Ed25519PublicKey:
    """Read one key; what is wrong is told without quoting the line, which may hold a private key by mistake."""
    if not line.isprintable():
        raise ValueError("expected printable characters and plain spaces, found others")
    principal, *rest = line.split(" ", 3)
    if not 1 <= len(principal) <= _MAX_PRINCIPAL or principal.startswith(("#", '"')):
        raise ValueError(f"expected who signs as one word of 1 to {_MAX_PRINCIPAL} characters, found another beginning")
    if len(rest) < 2 or rest[0] != _KEY_TYPE:
        raise ValueError(
            f"expected `<principal> {_KEY_TYPE} <public key>`, found another form: begin with who signs; options and "
            "other kinds of keys are not read"
        )
    written = " ".join(rest[:2])
    try:
        key: object = serialization.load_ssh_public_key(written.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey) or _written(key) != written:
        raise ValueError("expected an ed25519 public key as OpenSSH writes it, found something else")
    return key
