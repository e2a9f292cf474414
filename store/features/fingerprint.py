"""Names an encoder by all that causes its vectors; `store` keeps one folder for each fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from store.files.plain_json import canonical_json

_ENCODER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ABSENT = object()


@dataclass(frozen=True)
class Fingerprint:
    """The identity of an encoder; make it with `Fingerprint.of`.

    Attributes
    ----------
    encoder : str
        The readable name.
    canonical : bytes
        Canonical JSON of ``{"encoder": name, "record": record}``: what the digest is taken of.
    """

    encoder: str
    canonical: bytes

    @classmethod
    def of(cls, encoder: str, record: Mapping[str, Any]) -> Fingerprint:
        """Make the fingerprint of an encoder from the record of all that causes its vectors.

        Parameters
        ----------
        encoder : str
            1 to 64 characters of ``a-z 0-9 . _ -``, beginning with a letter or a digit.
        record : mapping
            Plain JSON data: weights digest, tokenizer, pooling, numeric contract, stored dtype, ...

        Raises
        ------
        ValueError
            When the name is not of that form, or a float is not finite.
        TypeError
            When the record holds anything but plain JSON data.
        """
        if not _ENCODER_NAME.fullmatch(encoder):
            raise ValueError(
                f"expected an encoder name of 1 to 64 characters a-z, 0-9, '.', '_', '-', found {encoder!r}; rename it"
            )
        return cls(encoder, canonical_json({"encoder": encoder, "record": dict(record)}))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """The record as a fresh copy: changing it does not change the fingerprint."""
        return cast(dict[str, Any], json.loads(self.canonical)["record"])

    @property
    def folder(self) -> str:
        """The name of this encoder's folder in a store."""
        return f"{self.encoder}-{self.digest[:16]}"

    def differences(self, other: Fingerprint) -> list[str]:
        """List the fields that differ, one ``path: ours != theirs`` each, to explain a miss."""
        mine, theirs = json.loads(self.canonical), json.loads(other.canonical)
        named = [] if self.encoder == other.encoder else [f"encoder: {self.encoder!r} != {other.encoder!r}"]
        return named + list(_differences(mine["record"], theirs["record"], ""))


def _differences(mine: object, theirs: object, path: str) -> Iterator[str]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(mine.get(key, _ABSENT), theirs.get(key, _ABSENT), inner)
    elif mine is _ABSENT or theirs is _ABSENT or canonical_json(mine) != canonical_json(theirs):
        # Compared as text: 1, 1.0 and True are equal in Python but are different records.
        yield f"{path}: {_shown(mine)} != {_shown(theirs)}"


def _shown(value: object) -> str:
    return "(absent)" if value is _ABSENT else repr(value)
