"""The signatures of one encoder's segments: small files beside them, so that segments never change and many may sign.

``signatures/<segment name>.<key id>.sig`` holds 64 bytes: one signature. Readers without trusted keys ignore them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from store.backends.protocol import Backend, Entry
from store.errors import StoreError
from store.segments.segment import SegmentName
from store.trust.signing import KEY_ID_DIGITS, SIGNATURE_BYTES, AllowedSigners, Signing

_LOG = logging.getLogger("diptych.store")
_SUFFIX = ".sig"
_HEX = frozenset("0123456789abcdef")


class SegmentSignatures:
    """One encoder's signatures on a backend.

    Parameters
    ----------
    backend : Backend
    folder : str
        The encoder's folder, below the root.
    fingerprint : str
        The encoder's whole digest: a signature is valid for its segments only.
    signing : Signing
    """

    def __init__(self, backend: Backend, folder: str, fingerprint: str, signing: Signing) -> None:
        self.folder = f"{folder}/signatures"
        self._backend = backend
        self._fingerprint = fingerprint
        self._signing = signing
        # That a key signed a name stays true for ever: (segment name, key id).
        self._verified: set[tuple[str, str]] = set()
        # Files that were read and are no signature; one that is mended has another time or size.
        self._rejected: set[Entry] = set()
        self._told = False

    def probe_writable(self) -> None:
        """Check, before anything is computed, that what we append will be signed and seen.

        Raises
        ------
        SigningError
            When only trusted segments are seen and ours would not be.
        StoreNotWritable, StoreFull, StoreUnreachable
            When the signatures may not be written.
        """
        self._signing.check_writer()
        if self._signing.signer is not None:
            self._backend.probe_writable(self.folder)

    def check_writer(self) -> None:
        """Do the part of `probe_writable` that writes nothing.

        Raises
        ------
        SigningError
            When only trusted segments are seen and ours would not be.
        """
        self._signing.check_writer()

    def sign(self, name: str) -> None:
        """Vouch for a segment that is in place, when we have a key: for our own rows, or for rows that were checked.

        Raises
        ------
        StoreNotWritable, StoreFull, StoreUnreachable
            When the signature cannot be written.
        """
        signer = self._signing.signer
        if signer is None:
            return
        # `heal`: a key gives one signature for one name, so whatever else lies there is damaged or forged.
        path = f"{self.folder}/{name}.{signer.key_id}{_SUFFIX}"
        self._backend.publish(path, signer.sign(self._fingerprint, name), heal=True)
        self._verified.add((name, signer.key_id))

    def sign_merged(self, name: str) -> None:
        """Vouch for a segment merged from others, when we looked at trusted ones only."""
        if self._signing.trusted is not None:
            self.sign(name)

    def entries(self) -> list[tuple[Entry, str]]:
        """List the files of signatures, each with the name of its segment; other files are left out."""
        parsed = ((entry, _parse(entry.name)[0]) for entry in self._backend.files(self.folder))
        return [(entry, name) for entry, name in parsed if name]

    def not_to_merge(self) -> set[str]:
        """List the segments whose signatures a merge would lose: those with any, when we ask for none ourselves."""
        if self._signing.trusted is not None:
            return set()
        return {name for _, name in self.entries()}

    def ours(self, names: Iterable[str]) -> set[str]:
        """Choose the segments that carry our own valid signature; none without a key."""
        signer = self._signing.signer
        return self._valid(set(names), signer.as_trusted()) if signer is not None else set()

    def untrusted(self, names: Iterable[str]) -> set[str]:
        """Choose the segments without a valid signature of a trusted key; none when no keys are asked for."""
        wanted = set(names)
        trusted = self._signing.trusted
        return wanted - self._valid(wanted, trusted) if trusted is not None and wanted else set()

    def seen(self, entries: list[tuple[SegmentName, Entry]]) -> list[tuple[SegmentName, Entry]]:
        """Keep the segments that lookups may see; how many are left out is told once by this object."""
        left_out = self.untrusted(entry.name for _, entry in entries)
        if left_out and not self._told:
            self._told = True
            _LOG.warning(
                "%d segments without a trusted signature were left out of %s: whoever vouches for them may run "
                "`diptych store sign`",
                len(left_out),
                self._backend.shown(self.folder.rpartition("/")[0]),
            )
        return [(name, entry) for name, entry in entries if entry.name not in left_out]

    def _valid(self, names: set[str], keys: AllowedSigners) -> set[str]:
        """Choose the names with a valid signature of one of the keys: one listing, and each new file read once."""
        valid: set[str] = set()
        for entry in self._backend.files(self.folder):
            name, key_id = _parse(entry.name)
            if name in names and name not in valid and key_id in keys and self._is_signature(entry, name, key_id, keys):
                valid.add(name)
        return valid

    def _is_signature(self, entry: Entry, name: str, key_id: str, keys: AllowedSigners) -> bool:
        if (name, key_id) in self._verified:
            return True
        if entry in self._rejected or entry.size != SIGNATURE_BYTES:
            return False
        try:
            signature = self._backend.read(f"{self.folder}/{entry.name}", SIGNATURE_BYTES)
        except StoreError:
            raise  # no right to read, or no answer: nothing can be said
        except (OSError, ValueError):  # vanished, a link, a device
            return False
        if not keys.verify(key_id, self._fingerprint, name, signature):
            self._rejected.add(entry)
            return False
        self._verified.add((name, key_id))
        return True


def _parse(file_name: str) -> tuple[str, str]:
    """Split the name of a signature into segment and key id; both "" when it is another file."""
    stem, _, key_id = file_name.removesuffix(_SUFFIX).rpartition(".")
    ours = file_name.endswith(_SUFFIX) and len(key_id) == KEY_ID_DIGITS and _HEX.issuperset(key_id)
    return (stem, key_id) if ours and SegmentName.parse(stem) is not None else ("", "")
