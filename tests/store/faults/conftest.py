"""Rows that every test of this folder stores, and a storage that fails on demand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from store import EncoderLog, FeatureStore, Fingerprint, ObjectBackend
from tests.store.care.sound import assert_store_ok, model_of
from tests.store.faults.objects.fault_fs import FaultFS, Plan

DIM = 6


@dataclass
class Cloud:
    """One bucket, and clients of it that meet what a plan says."""

    fingerprint: Fingerprint
    make_rows: Callable[..., tuple[np.ndarray, np.ndarray]]
    prefix: str = field(default_factory=lambda: f"/{uuid.uuid4().hex}/root")

    def client(self, plan: Plan = lambda _: None) -> tuple[FeatureStore, FaultFS]:
        files = FaultFS(plan)
        return FeatureStore(ObjectBackend(files, self.prefix, "s3://bucket/root")), files

    def log(self, store: FeatureStore) -> EncoderLog:
        return store.open(self.fingerprint, DIM, "float32")

    def work(self, store: FeatureStore) -> None:
        """Look rows up, store the missing half in two appends, read all."""
        keys, vectors = self.make_rows(0, 20)
        log = self.log(store)
        log.locate(keys)
        log.probe_writable()
        log.append(keys[:10], vectors[:10], {})
        log.append(keys[10:], vectors[10:], {})
        np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)

    def kept(self) -> int:
        """Check the store with a client that meets no fault; count the rows that are there."""
        store, _ = self.client()
        return len(assert_store_ok(store, model_of(*self.make_rows(0, 40))))

    def names(self) -> list[str]:
        files = self.client()[1].inner
        return sorted(files.find(self.prefix)) if files.exists(self.prefix) else []


@pytest.fixture
def make_cloud(
    fingerprint: Fingerprint, make_rows: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> Callable[[], Cloud]:
    return lambda: Cloud(fingerprint, make_rows)


@pytest.fixture
def cloud(make_cloud: Callable[[], Cloud]) -> Cloud:
    return make_cloud()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the backend would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("store.backends.objects.time.sleep", waited.append)
    return waited


@pytest.fixture
def halves(store, log, make_rows) -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """A store of two segments, and their files in the order of their rows."""
    keys, vectors = make_rows(0, 20)
    names = [log.append(keys[start : start + 10], vectors[start : start + 10], {}) for start in (0, 10)]
    return keys, vectors, [Path(store.address) / log.folder / "segments" / name for name in names]
