"""A store that one may only read, or not even that, or only in part: case 40 of docs/reliability.md."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore, StoreNotReadable, StoreNotWritable
from tests.store.care.sound import assert_store_ok, model_of

DIM = 6
NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Act without root's rights, which overrule the file system's."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def shared(fingerprint, make_rows) -> Iterator[tuple[Path, dict[bytes, np.ndarray]]]:
    """A sound store below a folder that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        keys, vectors = make_rows(0, 10)
        FeatureStore(folder / "store").open(fingerprint, DIM, "float32").append(keys, vectors, {})
        yield folder / "store", model_of(keys, vectors)
        for path in sorted(folder.rglob("*")):
            path.chmod(0o755)


def test_who_may_only_read_reads_everything_and_is_told_before_the_work(shared, fingerprint, make_rows):
    root, model = shared
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with as_nobody():
        store = FeatureStore(root, cache=root / "cache")
        log = store.open(fingerprint, DIM, "float32")
        assert log.locate(make_rows(0, 10)[0]).found.all()
        assert len(assert_store_ok(FeatureStore(root), model)) == 10
        with pytest.raises(StoreNotWritable, match="ask for write access"):
            log.probe_writable()


@pytest.mark.parametrize("closed", ["", "v1", "segments", "encoder.json", "segment"])
def test_who_may_not_read_is_told_where(shared, fingerprint, make_rows, closed):
    root, model = shared
    paths = {path.name: path for path in [root / "", *root.rglob("*")]}
    target = root if not closed else paths.get(closed) or next(root.rglob("zarr*"))
    target.chmod(0)
    with as_nobody(), pytest.raises(StoreNotReadable, match=r"expected the right to read .*ask its owner"):
        FeatureStore(root).open(fingerprint, DIM, "float32").locate(make_rows(0, 10)[0])
    target.chmod(0o755)
    assert len(assert_store_ok(FeatureStore(root), model)) == 10


def test_a_cache_that_may_not_be_entered_costs_time_only(shared, fingerprint, make_rows):
    root, model = shared
    cache = root.parent / "cache"
    cache.mkdir(mode=0o700)
    with as_nobody():
        log = FeatureStore(root, cache=cache / "mine").open(fingerprint, DIM, "float32")
        assert log.locate(make_rows(0, 10)[0]).found.all()
    assert len(assert_store_ok(FeatureStore(root), model)) == 10
