"""The store against a model: whatever clients, janitors, crashes and damage do in any order, no row is ever wrong.

The model knows which rows lie in which sound segment; from it follows, for every key, the one vector that every client
must see, or that there is none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from store import (
    CorruptSegment,
    FeatureStore,
    Fingerprint,
    compact,
    conflicts,
    content_key,
    gc,
    key_array,
    repair,
    restore,
    verify,
)
from store.backends.local import LocalBackend
from store.care.garbage import DAY
from store.segments.segment import row_digests

DIM = 3
FINGERPRINT = Fingerprint.of("tiny", {"weights": "00"})
KEYS = key_array([content_key("test", str(number).encode()) for number in range(12)])
NUMBER_OF = {key.tobytes(): number for number, key in enumerate(KEYS)}
NUMBERS = st.sets(st.integers(0, len(KEYS) - 1), min_size=1, max_size=6)
CLIENTS = st.integers(0, 1)


class Killed(BaseException):
    """The process is gone: nothing that it would do next happens."""


class MortalBackend(LocalBackend):
    """A folder whose client dies at the n-th operation that changes something; n = -1 for never."""

    left = -1

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
        self._live()
        super().publish(path, data, heal=heal)

    def move(self, path: str, target: str) -> None:
        self._live()
        super().move(path, target)

    def _live(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def vectors_of(numbers: list[int], version: int) -> np.ndarray:
    """Rows that follow from key and version: another version differs as rounding would."""
    base = np.sin(np.array(numbers)[:, None] * 1.7 + np.arange(DIM)) + 2
    return (base * (1 + version * 1e-5)).astype("f4")


class StoreMachine(RuleBasedStateMachine):
    """Two clients of one folder, one of them with an index cache; `self.model` is segment name -> {key number: row}."""

    @initialize(format_=st.sampled_from(["zarr.zip", "h5"]))
    def begin(self, format_: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="diptych-"))
        self.format = format_
        self.clients = [self.client(0), self.client(1)]
        self.model: dict[str, dict[int, np.ndarray]] = {}
        self.trash: dict[str, dict[int, np.ndarray]] = {}
        self.old: set[str] = set()  # whose files were made old

    def client(self, number: int) -> FeatureStore:
        backend = MortalBackend(self.root / "store", "none")
        cache = self.root / "cache" if number == 0 else None
        return FeatureStore(backend, segment_format=self.format, cache=cache)

    def log(self, client: int):
        return self.clients[client].open(FINGERPRINT, DIM, "float32")

    def folder(self) -> Path:
        return Path(self.log(0).shown) / "segments"

    @rule(client=CLIENTS, numbers=NUMBERS, version=st.integers(0, 2), origin=st.sampled_from(["a", "b"]))
    def put(self, client: int, numbers: set[int], version: int, origin: str) -> None:
        order = sorted(numbers)
        rows = vectors_of(order, version)
        self.stored(self.log(client).append(KEYS[order], rows, {"origin": origin}), order, rows)

    def stored(self, name: str, order: list[int], rows: np.ndarray) -> None:
        self.model[name] = dict(zip(order, rows, strict=True))
        self.bad -= {name}  # publishing heals

    @rule(client=CLIENTS, numbers=NUMBERS, left=st.integers(0, 1))
    def put_and_die(self, client: int, numbers: set[int], left: int) -> None:
        order = sorted(numbers)
        rows = vectors_of(order, 0)
        self.clients[client].backend.left = left
        try:
            name = self.log(client).append(KEYS[order], rows, {"origin": "a"})
        except Killed:
            pass
        else:
            self.stored(name, order, rows)
        self.clients[client] = self.client(client)

    @rule(client=CLIENTS)
    def reopen(self, client: int) -> None:
        self.clients[client] = self.client(client)

    @rule(client=CLIENTS, size=st.sampled_from([4, 12, 100]))
    def compact(self, client: int, size: int) -> None:
        self.merged(compact(self.clients[client], apply=True, target_rows=size))

    @rule(client=CLIENTS, left=st.integers(0, 4))
    def compact_and_die(self, client: int, left: int) -> None:
        self.clients[client].backend.left = left
        try:
            self.merged(compact(self.clients[client], apply=True))
        except Killed:
            self.clients[client] = self.client(client)
            self.see_what_is_left()
        self.clients[client].backend.left = -1

    def merged(self, merges) -> None:
        for merge in merges:
            rows = self.join(merge.inputs)
            for name in merge.inputs:
                retired = self.model.pop(name)
                if name != merge.output:  # rows that one of the inputs holds alone make that input again
                    self.trash[name] = retired
            self.model[merge.output] = rows
            self.bad -= {merge.output}

    def see_what_is_left(self) -> None:
        """After a death within compaction: whatever was written and retired, every key has the vector it had."""
        before, log = self.join(self.model), self.log(1)
        names = set(log.segments())
        for name in set(self.model) - names:
            self.trash[name] = self.model.pop(name)
        for name in names - set(self.model):
            try:
                segment = log.files.read(name)
            except CorruptSegment:
                assert name in self.bad
                continue
            numbers = [NUMBER_OF[key.tobytes()] for key in segment.keys]
            self.model[name] = dict(zip(numbers, segment.vectors, strict=True))
            self.bad -= {name}
        after = self.join(self.model)
        assert {key: row.tobytes() for key, row in after.items()} == {key: row.tobytes() for key, row in before.items()}

    bad: frozenset[str] = frozenset()

    def join(self, names) -> dict[int, np.ndarray]:
        return {
            number: min((self.model[n][number] for n in names if number in self.model[n]), key=digest)
            for number in {number for name in names for number in self.model[name]}
        }

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def corrupt(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        path = self.folder() / name
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.unlink()
        path.write_bytes(content)
        del self.model[name]
        self.bad |= {name}
        self.old.discard(name)
        for client in self.clients:  # a lookup from the index may still list it; reading it tells
            damaged = client.open(FINGERPRINT, DIM, "float32")
            try:
                damaged.files.read(name)
            except ValueError:
                continue
            raise AssertionError("a flipped byte was read as sound")

    @rule(client=CLIENTS)
    def repair(self, client: int) -> None:
        moved = {each.path.rpartition("/")[2] for each in repair(self.clients[client], apply=True)}
        assert moved == self.bad & set(moved)
        assert not self.bad & set(self.log(client).segments())
        self.bad = frozenset()

    @rule(client=CLIENTS, known=NUMBERS, old=st.booleans())
    def gc(self, client: int, known: set[int], old: bool) -> None:
        if old:
            self.old |= set(self.model)
            for name in self.model:
                path = self.folder() / name
                past = path.stat().st_mtime - 30 * DAY
                os.utime(path, (past, past))
        found = gc(self.clients[client], [KEYS[sorted(known)]], apply=True)
        for each in found:
            name = each.path.rpartition("/")[2]
            if each.kind == "segment":
                assert name in self.old
                assert not known & set(self.model[name])
                self.trash[name] = self.model.pop(name)

    @precondition(lambda self: self.trash)
    @rule(client=CLIENTS)
    def restore(self, client: int) -> None:
        backend = self.clients[client].backend
        there = set(self.log(client).segments())
        for day in backend.folders("trash"):
            if any((self.root / "store/trash" / day).rglob("*.*")):
                restored = {path.rpartition("/")[2] for path in restore(backend, day)}
                assert restored == set(self.trash) - there
        self.model |= {name: rows for name, rows in self.trash.items() if name not in there}
        self.trash = {name: rows for name, rows in self.trash.items() if name in there}

    @invariant()
    def every_client_sees_the_model(self) -> None:
        if not hasattr(self, "clients"):
            return
        for number in (0, 1):
            log = self.log(number)
            located = log.locate(KEYS)
            rows = self.join(self.model)
            assert np.flatnonzero(located.found).tolist() == sorted(rows)
            if rows:
                found = log.read(located, np.flatnonzero(located.found))
                np.testing.assert_array_equal(found, np.stack([rows[key] for key in sorted(rows)]))

    @rule(client=CLIENTS)
    def verify(self, client: int) -> None:
        found = {problem.segment for problem in verify(self.clients[client], rows=True)}
        assert found == self.bad & set(self.log(client).segments())
        assert all(conflict.tolerated for conflict in conflicts(self.clients[client]))

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root)


def digest(row: np.ndarray) -> bytes:
    return row_digests(row[None])[0].tobytes()


class LongStoreMachine(StoreMachine):
    """The same over more histories."""


def histories(count: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=50,
        deadline=None,
        phases=set(Phase) - {Phase.shrink},
        suppress_health_check=list(HealthCheck),
    )


StoreMachine.TestCase.settings = histories(25)
LongStoreMachine.TestCase.settings = histories(200)
TestStore = StoreMachine.TestCase
TestStoreAtLength = pytest.mark.slow(LongStoreMachine.TestCase)
