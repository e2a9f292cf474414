"""Times the feature store: writing beside `np.save`, lookups in a large store, and what reuse saves a run of `embed`.

`measure` returns the rows; ``python -m benchmarks`` prints and writes them. Subject and peer take turns in one run.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Row
from stages.contract import SilentProgress
from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, run
from stages.embed.settings import EmbedSettings
from store import EncoderLog, FeatureStore, Fingerprint
from store.items.records import Item, ManifestInfo, write_manifest
from store.segments.segment import row_digests

_FINGERPRINT = Fingerprint.of("benchmark", {"weights": "none"})
_DIM = 512


def measure(
    write_rows: int = 60_000, stored: int = 1_000_000, asked: int = 100_000, texts: int = 2_000, repeats: int = 5
) -> list[Row]:
    """Run everything.

    Returns
    -------
    list of dict
        With name, subject, peer, ratio (subject / peer), subject_value, peer_value, unit (GB/s: more is better; s: less
        is better) and note.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return [
            *_writing(root / "write", write_rows, repeats),
            *_looking_up(root / "lookup", stored, asked),
            *_reusing(root / "reuse", texts),
        ]


def _random_rows(rows: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    keys = generator.integers(0, 256, (rows, 32)).astype(np.uint8)
    return keys, generator.standard_normal((rows, dim), dtype=np.float32).astype(np.float16)


def _writing(root: Path, rows: int, repeats: int) -> list[Row]:
    """Append one segment durably, beside np.save and fsync of the same vectors."""
    root.mkdir()
    gigabytes = rows * _DIM * 2 / 1e9
    seconds: dict[str, list[float]] = {"np.save": [], "zarr.zip": [], "h5": []}
    for turn in range(repeats):
        keys, vectors = _random_rows(rows, _DIM, turn)
        seconds["np.save"].append(_timed(lambda v=vectors, t=turn: _save(root / f"{t}.npy", v)))
        for kind in ("zarr.zip", "h5"):
            log = _log(root / kind, kind)
            seconds[kind].append(_timed(lambda k=keys, v=vectors, g=log: g.append(k, v, {})))
    rates = {name: gigabytes / statistics.median(times) for name, times in seconds.items()}
    digests = _timed(lambda: row_digests(vectors)) / statistics.median(seconds["zarr.zip"])
    whole = _timed(lambda: hashlib.sha256(vectors.data)) / statistics.median(seconds["zarr.zip"])
    note = (
        f"one segment of {rows} x {_DIM} float16: keys sorted, values checked, a digest for each row, checksums, "
        "SHA-256, fsync of file and folder; np.save with fsync of the vectors alone. What holds it back: one BLAKE2b "
        f"call for each row ({digests:.0%} of the time), SHA-256 of it all ({whole:.0%}), copies and checks the rest; "
        "the slower the disk, the better the ratio"
    )
    return [
        _row(f"store.write.{kind.partition('.')[0]}", "np.save + fsync", rates[kind], rates["np.save"], "GB/s", note)
        for kind in ("zarr.zip", "h5")
    ]


def _save(path: Path, vectors: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _looking_up(root: Path, stored: int, asked: int) -> list[Row]:
    """Look up keys, half of them stored, with the local index and by reading every segment."""
    log = _log(root / "store", "zarr.zip", root / "cache")
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 256, (stored, 32)).astype(np.uint8)
    for part in np.array_split(np.arange(stored), max(1, stored // 16_384)):
        log.append(keys[part], generator.standard_normal((len(part), 64), dtype=np.float32).astype(np.float16), {})
    wanted = keys[generator.choice(stored, asked // 2, replace=False)]
    wanted = np.concatenate([wanted, generator.integers(0, 256, (asked - len(wanted), 32)).astype(np.uint8)])
    indexed = _log(root / "store", "zarr.zip", root / "cache")
    bare = _log(root / "store", "zarr.zip")
    fast = statistics.median(_timed(lambda: indexed.locate(wanted)) for _ in range(5))
    slow = _timed(lambda: bare.locate(wanted))
    tracemalloc.start()
    found = indexed.locate(wanted)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    if int(found.found.sum()) != asked // 2:
        raise AssertionError("a stored key was not found")
    note = (
        f"{asked} keys, half of them there, in {stored} rows of {len(log.segments())} segments; peak of allocated "
        f"memory {peak:.0f} MB; the peer reads and verifies every segment"
    )
    return [_row("store.lookup", "without the local index", fast, slow, "s", note)]


def _reusing(root: Path, texts: int) -> list[Row]:
    """Run `embed` with a real encoder: from nothing, again, and with 1 % more items."""
    root.mkdir()
    full = _embed(root, texts)
    again = _embed(root, texts)
    grown = _embed(root, texts + texts // 100)
    note = f"embed of {texts} captions by MiniLM on this processor, model loaded when there is something to compute"
    return [
        _row("store.rerun", "computing", again, full, "s", f"{note}; all rows are stored"),
        _row("store.grow", "computing", grown, full, "s", f"{note}; 1 % more items"),
    ]


def _embed(root: Path, texts: int) -> float:
    items = [Item(f"i{n}", None, {"caption": _caption(n)}, ("a",), None, f"i{n}") for n in range(texts)]
    info = ManifestInfo("table", str(root), "multiclass", ("a",), {}, ("caption",))
    write_manifest(root / "manifest.parquet", info, [(item, None) for item in items])
    outputs = EmbedOutputs(root / "out.zarr.zip", root / "card.json", root / "failed.csv")
    settings = EmbedSettings(FeatureStore(root / "store", cache=root / "cache"))
    params = EmbedParams(encoder="minilm", field="caption")
    return _timed(lambda: run(params, EmbedInputs(root / "manifest.parquet"), outputs, settings, SilentProgress()))


def _caption(number: int) -> str:
    words = ("a red", "a small", "an old", "two", "cat", "dog", "house", "tree", "near", "under", "beside", "the sea")
    generator = np.random.default_rng(number)
    return f"{' '.join(words[at] for at in generator.integers(0, len(words), 10))} {number}"


def _log(root: Path, kind: Any, cache: Path | None = None) -> EncoderLog:
    dim = 64 if root.name == "store" else _DIM
    return FeatureStore(root, segment_format=kind, cache=cache).open(_FINGERPRINT, dim, "float16")


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _row(name: str, peer: str, value: float, peer_value: float, unit: str, note: str) -> Row:
    return {
        "name": name,
        "subject": name,
        "peer": peer,
        "ratio": round(value / peer_value, 4),
        "subject_value": round(value, 4),
        "peer_value": round(peer_value, 4),
        "unit": unit,
        "note": note,
    }
