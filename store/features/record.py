"""The file `encoder.json` in each encoder's folder: the full fingerprint, compared before a segment is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from store.backends.protocol import Backend
from store.errors import FingerprintMismatch, StoreNotReadable, StoreUnreachable, UnsupportedFormat
from store.features.fingerprint import Fingerprint
from store.files.plain_json import canonical_json, parse_document
from store.items.vectors import VECTOR_TYPES, VectorType

FORMAT_VERSION = 2
RECORD_NAME = "encoder.json"
_MAX_RECORD_BYTES = 4 << 20
_REMEDY = (
    "run `diptych store repair --apply` in a project that uses this encoder, or restore it from a copy of the store"
)
_FIELDS = {"format_version", "min_reader", "encoder", "record", "digest", "dim", "dtype"}


@dataclass(frozen=True)
class EncoderRecord:
    """What an encoder's folder holds: whose vectors, how long and of which type."""

    fingerprint: Fingerprint
    dim: int
    dtype: VectorType

    @property
    def zero_legal(self) -> bool:
        """Whether a row may be all zero: the encoder's own word, in its record."""
        return self.fingerprint.record.get("zero_rows") == "legal"

    @property
    def version(self) -> int:
        """The oldest format that can say this.

        Version 1 knows no uint8, and its repair would move segments with legal rows of zeros away: it must not try.
        """
        return 2 if self.dtype == "uint8" or self.zero_legal else 1

    def to_bytes(self) -> bytes:
        """Write the record as canonical JSON."""
        fields = {
            "format_version": self.version,
            "min_reader": self.version,
            "encoder": self.fingerprint.encoder,
            "record": self.fingerprint.record,
            "digest": self.fingerprint.digest,
            "dim": self.dim,
            "dtype": self.dtype,
        }
        return canonical_json(fields)

    def differences(self, other: EncoderRecord) -> list[str]:
        """List what differs, one ``path: ours != theirs`` each."""
        found = self.fingerprint.differences(other.fingerprint)
        if self.dim != other.dim:
            found.append(f"dim: {self.dim} != {other.dim}")
        if self.dtype != other.dtype:
            found.append(f"dtype: {self.dtype} != {other.dtype}")
        return found


def read_record(backend: Backend, folder: str) -> EncoderRecord | None:
    """Read an encoder folder's record; None when there is none.

    Raises
    ------
    FingerprintMismatch
        When it cannot be read, or does not describe the folder that it lies in.
    UnsupportedFormat
        When a newer version wrote it.
    """
    path = backend.shown(f"{folder}/{RECORD_NAME}")
    try:
        fields = parse_document(backend.read(f"{folder}/{RECORD_NAME}", _MAX_RECORD_BYTES))
        _check_version(path, fields)
        record = _from_fields(fields)
    except FileNotFoundError:
        return None
    except (UnsupportedFormat, StoreNotReadable, StoreUnreachable):
        raise
    except (OSError, ValueError, TypeError) as error:
        raise FingerprintMismatch(
            f"expected the record of an encoder in {path}, found one that cannot be read ({error}); {_REMEDY}"
        ) from error
    if record.fingerprint.digest != fields["digest"] or record.fingerprint.folder != folder.rpartition("/")[2]:
        raise FingerprintMismatch(
            f"expected {path} to describe its own folder, found the record of {record.fingerprint.folder}; {_REMEDY}"
        )
    return record


def _check_version(path: str, fields: dict[str, Any]) -> None:
    needed = fields.get("min_reader")
    if type(needed) is not int:
        raise ValueError("no min_reader")
    if needed > FORMAT_VERSION:
        raise UnsupportedFormat(
            f"expected format version {FORMAT_VERSION} or older in {path}, found {needed}; upgrade diptych"
        )


def _from_fields(fields: dict[str, Any]) -> EncoderRecord:
    missing = sorted(_FIELDS - fields.keys())
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    encoder, record, dim, dtype = fields["encoder"], fields["record"], fields["dim"], fields["dtype"]
    plain = isinstance(encoder, str) and isinstance(record, dict) and type(dim) is int and dim > 0
    if not plain or dtype not in VECTOR_TYPES:
        raise ValueError("fields of another kind")
    return EncoderRecord(Fingerprint.of(encoder, record), dim, cast(VectorType, dtype))


def establish_record(backend: Backend, folder: str, record: EncoderRecord) -> None:
    """Put the record in place, or compare with the one that is there.

    Raises
    ------
    FingerprintMismatch
        When another record is there.
    """
    try:
        backend.publish(f"{folder}/{RECORD_NAME}", record.to_bytes())
    except FileExistsError:
        compare_record(backend, folder, record)


def compare_record(backend: Backend, folder: str, record: EncoderRecord) -> bool:
    """Compare a folder's record in full; False when the folder has neither record nor segments yet.

    Raises
    ------
    FingerprintMismatch
        When it differs, or is missing while there are segments.
    """
    found = read_record(backend, folder)
    if found is None and backend.exists(f"{folder}/segments"):
        # A writer puts the record first: look again, in case it came between the two looks.
        found = read_record(backend, folder)
        if found is None:
            raise FingerprintMismatch(
                f"expected {RECORD_NAME} next to the segments in {backend.shown(folder)}, found none; {_REMEDY}"
            )
    if found is None:
        return False
    differences = record.differences(found)
    if differences:
        raise FingerprintMismatch(
            f"expected the vectors of this encoder in {backend.shown(folder)}, found another's: "
            f"{'; '.join(differences)} (expected != found); move the folder away or correct the parameters"
        )
    return True
