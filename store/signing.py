"""Who vouches for a segment: ed25519 keys that sign its name, and the list of keys that a team trusts.

A segment's name holds the SHA-256 of its bytes, so whoever signs the name signs the content; `segment_signatures` keeps
the signatures beside the segments.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from store.errors import SigningError

SIGNATURE_BYTES = 64
KEY_ID_DIGITS = 16
_PUBLIC_BYTES = 32
_MAX_KEY_FILE_BYTES = 4096
_MAX_TRUSTED_BYTES = 1 << 20
_MAX_COMMENT = 200
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
        self._public = key.public_key().public_bytes_raw()
        self.key_id = _key_id(self._public)

    @classmethod
    def load(cls, path: Path) -> Signer:
        """Read a private key file: PEM, unencrypted, readable by nobody but its owner.

        Raises
        ------
        SigningError
            When it is missing, others may read it, or it is not such a key.
        """
        path = path.expanduser()
        data = _read_private(path)
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # what these say may quote the file
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(
                f"expected an unencrypted ed25519 private key in PEM at {path}, found something else; "
                "make one with `diptych store keygen FILE`"
            )
        return cls(key)

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
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_private(path.expanduser(), pem)

    def sign(self, fingerprint: str, segment: str) -> bytes:
        """Sign one segment of an encoder; the same call always gives the same 64 bytes."""
        return self._key.sign(signed_message(fingerprint, segment))

    def trusted_line(self, comment: str) -> str:
        """Give the line of the trusted-keys file that makes others trust this key.

        Raises
        ------
        SigningError
            When the comment is empty, too long or not printable.
        """
        line = f"ed25519 {base64.b64encode(self._public).decode()} {comment.strip()}"
        try:
            _parse_line(line)
        except ValueError as error:
            raise SigningError(f"comment: {error}; say whose key it is in a few words") from None
        return line

    def as_trusted(self) -> TrustedKeys:
        """Give the list that holds this key alone."""
        return TrustedKeys({self.key_id: self._public})


class TrustedKeys:
    """The public keys whose signatures count.

    Parameters
    ----------
    keys : mapping of str to bytes
        Key id -> raw public key.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: Ed25519PublicKey.from_public_bytes(raw) for key_id, raw in keys.items()}

    @classmethod
    def load(cls, path: Path) -> TrustedKeys:
        """Read a list of keys: one ``ed25519 <base64 public key> <comment>`` a line, and lines beginning with ``#``.

        Raises
        ------
        SigningError
            When it is missing, a line is not of that form, a key comes twice, or there is none.
        """
        path = path.expanduser()
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_TRUSTED_BYTES + 1)
        except OSError as error:
            raise SigningError(
                f"expected the list of trusted keys at {path}, found: {error.strerror}; restore it with "
                "`git checkout`, or correct `trusted_keys` in local.toml (DIPTYCH_TRUSTED_KEYS)"
            ) from None
        keys = cls(_parse_list(path, data))
        if not len(keys):
            raise SigningError(
                f"expected at least one trusted key in {path}, found none; add the line that `diptych store keygen` "
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
    trusted: TrustedKeys | None = None

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
                f"expected our signing key {self.signer.key_id} among the trusted keys, found it missing; "
                "add the line that `diptych store keygen` printed to the trusted-keys file"
            )


UNSIGNED = Signing()


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:KEY_ID_DIGITS]


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
        raise SigningError(
            f"expected to write a key to {path}, found: {error.strerror}; name a file in a folder of yours"
        ) from None


def _parse_list(path: Path, data: bytes) -> dict[str, bytes]:
    try:
        if len(data) > _MAX_TRUSTED_BYTES:
            raise SigningError(f"expected at most {_MAX_TRUSTED_BYTES} bytes in {path}, found more; shorten it")
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SigningError(f"expected UTF-8 in {path}, found other bytes; save it as UTF-8") from None
    return _parse_lines(path, text.split("\n"))  # not splitlines(): it sees lines where a reviewer sees none


def _parse_lines(path: Path, lines: Iterable[str]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, line in enumerate((line.removesuffix("\r") for line in lines), start=1):
        if not line.strip(" ") or line.startswith("#"):
            continue
        try:
            public = _parse_line(line)
        except ValueError as error:
            raise SigningError(f"{path}:{number}: {error}; correct the line") from None
        if _key_id(public) in keys:
            raise SigningError(f"{path}:{number}: expected each key once, found one again; remove the line")
        keys[_key_id(public)] = public
    return keys


def _parse_line(line: str) -> bytes:
    """Read one key; what is wrong is told without quoting the line, which may hold a private key by mistake."""
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.partition(" ")
    if kind != "ed25519":
        raise ValueError("expected `ed25519 <base64 public key> <comment>`, found another beginning")
    try:
        public = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        public = b""
    if len(public) != _PUBLIC_BYTES or base64.b64encode(public).decode() != encoded:
        raise ValueError("expected a public key of 32 bytes in base64, found something else")
    if not comment.strip() or len(comment) > _MAX_COMMENT or not comment.isprintable():
        raise ValueError(f"expected a printable comment of 1 to {_MAX_COMMENT} characters, found another")
    return public
