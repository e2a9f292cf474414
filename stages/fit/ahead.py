"""Prepares the train rows ahead in threads and hands them out in their order; `bovw` and `convae` are fed by it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from stages.encoders.batching import ITEM_ERRORS
from stages.errors import RunError
from stages.fit.context import FitContext
from stages.fit.rows import Raw

Prepared = TypeVar("Prepared")
_AHEAD = 4  # rows in work for every thread
_LOG = logging.getLogger("diptych.fit")


def prepared_rows(context: FitContext, prepare: Callable[[Raw], Prepared]) -> Iterator[tuple[int, Prepared]]:
    """Yield (position, prepared item) in the order of the rows; what cannot be read or decoded is told and left out.

    Raises
    ------
    RunError
        When nothing could be prepared.
    """
    good = 0
    with ThreadPoolExecutor(max_workers=max(1, context.workers)) as pool:
        ahead: deque[tuple[int, Future[Prepared]]] = deque()
        try:
            for position in range(len(context.rows)):
                ahead.append((position, pool.submit(lambda at: prepare(context.rows.load(at)), position)))
                if len(ahead) >= _AHEAD * max(1, context.workers):
                    for each in _result(context, *ahead.popleft()):
                        good += 1
                        yield each
            while ahead:
                for each in _result(context, *ahead.popleft()):
                    good += 1
                    yield each
        finally:
            pool.shutdown(cancel_futures=True)
    if not good:
        raise RunError(
            f"fit {context.name}: expected train rows that can be read; found none among {len(context.rows)}; run "
            "`dvc repro --force prepare`, which lists what is wrong."
        )


def _result(context: FitContext, position: int, future: Future[Prepared]) -> Iterator[tuple[int, Prepared]]:
    try:
        prepared = future.result()
    except ITEM_ERRORS as error:
        _LOG.warning("fit %s: %s is left out: %s", context.name, context.rows.ids[position], error)
        return
    yield position, prepared
