"""One root on some storage, seen from both sides: through the store, and as plain files that anybody may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fsspec import AbstractFileSystem

from store import Backend, FeatureStore
from store.backends.address import open_backend


@dataclass(frozen=True)
class Place:
    """A fresh root.

    Attributes
    ----------
    files : AbstractFileSystem
        The storage without the store, to plant and damage files.
    prefix : str
        The root, as `files` takes it.
    """

    kind: str
    address: str
    files: AbstractFileSystem
    prefix: str
    clients: list[Backend] = field(default_factory=list)

    def backend(self) -> Backend:
        """Open it as another client than the one before; of two in turn, because one for S3 takes half a second."""
        if len(self.clients) < 2:
            self.clients.append(open_backend(self.address, "none"))
        self.clients.append(self.clients.pop(0))
        return self.clients[-1]

    def store(self, **options: Any) -> FeatureStore:
        """Open the store as another client than the one before; it remembers nothing of earlier ones."""
        return FeatureStore(self.backend(), **options)

    def put(self, path: str, data: bytes) -> None:
        full = f"{self.prefix}/{path}"
        if self.kind == "folder":
            self.files.makedirs(full.rpartition("/")[0], exist_ok=True)
        self.files.pipe_file(full, data)

    def get(self, path: str) -> bytes:
        data: bytes = self.files.cat_file(f"{self.prefix}/{path}")
        return data

    def delete(self, path: str) -> None:
        self.files.rm_file(f"{self.prefix}/{path}")

    def names(self) -> list[str]:
        """Every file below the root, sorted."""
        if not self.files.exists(self.prefix):
            return []
        found = self.files.find(self.prefix)
        return sorted(str(name).removeprefix(f"{self.prefix}/") for name in found)
