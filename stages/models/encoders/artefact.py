"""What `fit` leaves behind: a folder of weights and the record of all that caused them; fitted encoders read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from dataclasses import field as attribute
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.contract import PARTS
from store import canonical_json
from store.errors import InputError
from store.files.outputs import write_json
from store.files.plain_json import parse_document

RECORD = "artefact.json"
_FORMAT = 1


@dataclass(frozen=True)
class Artefact:
    """One fitted encoder in its folder; equal inputs, parameters and libraries give equal bytes.

    Attributes
    ----------
    folder : Path
        Where it lies: ``models/fit/<entry>``.
    encoder, field, seed : str, str, int
        What was fitted, on which field of the items, and the seed of every draw.
    options : mapping
        All options of the encoder, those left to their defaults too.
    transductive : bool
        Whether it was fitted on all items, those of dev and test too.
    rows : int
        Items that it was fitted on: those of `train` that have the field.
    train : str
        Digest of the ordered ids of all items that it was allowed to see.
    code_version : int
        Of the code that fitted it.
    libraries : mapping of str to str
        Versions of the packages that did the arithmetic.
    files : mapping of str to str
        SHA-256 of every other file of the folder.
    """

    folder: Path
    encoder: str
    field: str
    seed: int
    options: Mapping[str, Any]
    transductive: bool
    rows: int
    train: str
    code_version: int
    libraries: Mapping[str, str]
    files: Mapping[str, str] = attribute(default_factory=dict)

    def seal(self) -> Self:
        """Write the record beside the weights that lie in the folder, with the digest of each."""
        sealed = replace(self, files=_digests(self.folder))
        write_json(self.folder / RECORD, sealed.record())
        return sealed

    @classmethod
    def open(cls, folder: Path, encoder: str, *, whole: bool = True) -> Self:
        """Read the record and, unless `whole` is False, hold every file against it; no weight is loaded.

        Raises
        ------
        InputError
            When there is no artefact of this encoder, or its files are not those that were written.
        """
        remedy = f"run `dvc repro fit@{folder.name}`"
        artefact = cls._read(folder, remedy)
        if artefact.encoder != encoder:
            raise InputError(f"expected a fitted {encoder!r} in {folder}; found {artefact.encoder!r}; name its entry.")
        if whole:
            artefact._refuse_other_files(remedy)
        return artefact

    @classmethod
    def _read(cls, folder: Path, remedy: str) -> Self:
        try:
            content = parse_document((folder / RECORD).read_bytes())
        except FileNotFoundError:
            raise InputError(f"expected what `fit` writes at {folder}; found no {RECORD}; {remedy}.") from None
        except ValueError as error:
            raise InputError(f"{folder / RECORD}: {error}; {remedy}.") from None
        names = {each.name for each in fields(cls)} - {"folder"} | {"format"}
        if content.keys() != names or content["format"] != _FORMAT:
            raise InputError(f"{folder / RECORD}: expected the keys {sorted(names)} of format {_FORMAT}; {remedy}.")
        return cls(folder, **{name: value for name, value in content.items() if name != "format"})

    def _refuse_other_files(self, remedy: str) -> None:
        found = _digests(self.folder)
        wrong = sorted(name for name in {*found, *self.files} if found.get(name) != self.files.get(name))
        if wrong:
            what = "no such file" if wrong[0] not in found else f"digest {found[wrong[0]][:12]}"
            raise InputError(
                f"{self.folder}: expected the files that `fit` wrote; found {what} for {wrong[0]!r}; {remedy}."
            )

    def record(self) -> dict[str, Any]:
        """Return everything but the place as plain JSON values."""
        return {"format": _FORMAT, **{name: value for name, value in vars(self).items() if name != "folder"}}

    @property
    def digest(self) -> str:
        """SHA-256 of the record, and so of every file: what the card states and `embed` depends on."""
        return hashlib.sha256(canonical_json(self.record())).hexdigest()

    def identity(self) -> Mapping[str, Any]:
        """Return what of it causes a vector, for the fingerprint."""
        names = ("files", "train", "seed", "options", "transductive", "code_version")
        return {name: getattr(self, name) for name in names}

    def refuse_other_split(self, ids: list[str], parts: NDArray[np.str_], *, allow: bool = False) -> None:
        """Refuse to serve a data set whose present train rows are not those that it was fitted on.

        Parameters
        ----------
        ids, parts : list of str, ndarray of str [N]
            The items in the order of the manifest, and the part of each.
        allow : bool
            Serve it all the same: vectors of today's test rows may then know their own inputs.

        Raises
        ------
        InputError
            With both digests.
        """
        present = visible_digest(ids, parts, transductive=self.transductive)
        if present != self.train and not allow:
            raise InputError(
                f"{self.folder}: expected an encoder fitted on the present train rows (digest {present[:16]}); found "
                f"one fitted on others ({self.train[:16]}); run `dvc repro fit@{self.folder.name}`, or give "
                "--allow-split-mismatch to embed with it all the same."
            )


def visible(parts: NDArray[np.str_], *, transductive: bool) -> NDArray[np.int64]:
    """Return the rows that `fit` may see: those of train, or all."""
    return np.flatnonzero(np.isin(parts, PARTS if transductive else PARTS[:1]))


def visible_digest(ids: list[str], parts: NDArray[np.str_], *, transductive: bool) -> str:
    """Digest the ordered ids of the rows that `fit` may see."""
    return ids_digest(ids[row] for row in visible(parts, transductive=transductive).tolist())


def ids_digest(ids: Iterable[str]) -> str:
    """Return the SHA-256 of ids in their order, in hexadecimal."""
    digest = hashlib.sha256()
    for identity in ids:
        encoded = identity.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file below the folder but the record, by relative name."""
    found = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != RECORD:
            with path.open("rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
