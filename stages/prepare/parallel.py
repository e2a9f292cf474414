"""Does the same work on a stream, in order and in bounded memory: in a few threads, or apart by workers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

from stages.contract import Executor
from stages.models.encoders.image.decoding import UndecodableImage, allow_pixels, allowed_pixels
from stages.models.workers import in_order, worker_name
from stages.prepare.checks import Checked, Row, Seen, checked, checker, look, picture_of
from stages.prepare.sources.protocol import Reject, Skip
from store.errors import InputError
from store.files.reading import resolve_below, trust_roots, trusted_roots
from store.items.records import Item

In = TypeVar("In")
Out = TypeVar("Out")


_WORKERS = max(1, min(4, os.cpu_count() or 1))
_WAITING = 4 * _WORKERS


def map_in_order(work: Callable[[In], Out], inputs: Iterable[In]) -> Iterator[Out]:
    """Yield `work(x)` for each input, in the order of the inputs, reading only a few inputs ahead.

    Threads suffice because decoding, scaling and encoding pictures all release Python's lock. An error of `work`
    stops the stream at its place, and what was waiting is dropped.
    """
    pending: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="prepare")
    try:
        for value in inputs:
            pending.append(pool.submit(work, value))
            if len(pending) >= _WAITING:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_ROWS = 256

Check = Callable[[Row], Checked | Reject | Skip]


def check_apart(executor: Executor, images: Path, rows: Iterable[Row]) -> Iterator[Checked | Reject | Skip]:
    """Yield the rows checked, in their order, with pictures below `images` looked at by workers.

    Paths go out, and keys, hashes and sizes come back. A row is rejected here alone: what a worker cannot read is read
    again, so that a worker without the pictures ends the run, and never drops rows.

    Raises
    ------
    InputError
        When a worker cannot read a picture that can be read here, or has another decoder.
    """
    waiting: dict[int, list[Row]] = {}
    check = checker(images)
    with closing(in_order(executor, look_at, _tasks(images, rows, waiting))) as reports:
        for number, report in enumerate(reports):
            yield from _joined(waiting.pop(number), report, check)


def look_at(task: Mapping[str, Any]) -> dict[str, Any]:
    """Look at pictures, on a worker.

    Parameters
    ----------
    task : mapping
        `images`: the folder in full; `pictures`: paths below it; `trusted_roots`: where their links may lead;
        `max_pixels`: the largest taken.

    Returns
    -------
    dict
        `seen`: for each picture a `Seen` as a list, its key in hexadecimal, or None when it cannot be read here;
        `worker` and `pillow`: who looked, by which version of the decoder.
    """
    images = Path(task["images"])
    trust_roots(task["trusted_roots"])
    allow_pixels(task["max_pixels"])
    seen = [_look(images, each) for each in task["pictures"]]
    return {"seen": seen, "worker": worker_name(), "pillow": version("pillow")}


def _look(images: Path, picture: str) -> list[Any] | None:
    try:
        seen = look(resolve_below(images, picture))
    except (InputError, UndecodableImage, OSError):
        return None
    return [seen.key.hex(), seen.animated, seen.dhash, list(seen.size), seen.mode, seen.profile]


def _tasks(images: Path, rows: Iterable[Row], waiting: dict[int, list[Row]]) -> Iterator[dict[str, Any]]:
    remaining, folder = iter(rows), str(images.absolute())
    for number in count():
        block = list(islice(remaining, _ROWS))
        if not block:
            return
        waiting[number] = block
        pictures = [picture for row in block if (picture := picture_of(row)) is not None]
        limits = {"trusted_roots": trusted_roots(), "max_pixels": allowed_pixels()}
        yield {"images": folder, "pictures": pictures, **limits}


def _joined(rows: list[Row], report: Mapping[str, Any], check: Check) -> Iterator[Checked | Reject | Skip]:
    """Put rows and what a worker saw of their pictures together; look here at what it did not see."""
    if report["pillow"] != version("pillow"):
        raise InputError(
            f"prepare: expected Pillow {version('pillow')} on worker {report['worker']}; found {report['pillow']}; "
            "install the same versions there."
        )
    seen = iter(report["seen"])
    for row in rows:
        found = next(seen) if picture_of(row) is not None else None
        if found is not None and isinstance(row, Item):
            key, animated, dhash, size, mode, profile = found
            yield checked(row, Seen(bytes.fromhex(key), animated, dhash, tuple(size), mode, profile))
            continue
        result = check(row)
        if isinstance(result, Checked) and result.image_key is not None:
            raise InputError(
                f"prepare: expected worker {report['worker']} to read {result.item.image!r}, which this process reads; "
                "found that it cannot; mount the pictures there under the same path."
            )
        yield result
