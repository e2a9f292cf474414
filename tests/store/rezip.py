"""Writes a Zarr matrix anew with some members changed, each of the others where it was."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from store.plain_json import parse_document
from store.zarr_documents import document_bytes, zip_entry

Change = Callable[[dict[str, bytes]], object]


def rezip(path: Path, change: Change | None = None, compression: int = zipfile.ZIP_STORED) -> None:
    """Change the members by their names; chunks stay aligned, so that a file is refused for the change alone."""
    with zipfile.ZipFile(path) as archive:
        padding = {entry.filename: entry.extra for entry in archive.infolist()}
        members = {name: archive.read(name) for name in padding}
    if change is not None:
        change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            entry = zip_entry(name)
            entry.compress_type, entry.extra = compression, padding.get(name, b"")
            archive.writestr(entry, content)
    path.unlink()  # a new file of the same name: the old one may still be mapped
    path.write_bytes(file.getvalue())


def edit(name: str, **fields: object) -> Change:
    """Change fields of one document."""

    def change(members: dict[str, bytes]) -> None:
        members[name] = document_bytes(parse_document(members[name]) | fields)

    return change


def put(name: str, data: bytes) -> Change:
    """Put a member in place of another, or beside all."""
    return lambda members: members.update({name: data})
