"""What every fitter gets and gives back: the train rows, raw or prepared ahead in threads, a device, checkpoints."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.running.batching import ITEM_ERRORS
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Epoch
from stages.models.training.groups import TOLERANCE, fill
from store.errors import InputError, RunError
from store.items.records import Task
from store.results.cards import EntryCard

Raw = Any  # `str`, the encoded `bytes` of a picture, or a tuple of both, as the encoder reads it
Index = NDArray[np.int64]
_DEV_SHARE = 0.1


@dataclass(frozen=True)
class FieldRows:
    """One field of n items: their content keys, uint8 [n, 32], and a loader as that of `FitRows`."""

    keys: NDArray[np.uint8]
    load: Callable[[int], Raw]


@dataclass(frozen=True)
class FitRows:
    """n items that have the input; nothing of any other item can be reached from here.

    Attributes
    ----------
    ids, groups : list of str, length n
    load : callable
        From a position 0..n-1 to the raw item: `str`, the encoded bytes of a picture, or both. May be called from
        threads; it raises `ItemError` when a picture is no longer the one that `prepare` read.
    task, classes : Task, tuple of str
        Of the labels.
    targets : ndarray
        multilabel: float32 [n, K]; multiclass: int64 [n]; regression: float32 [n, 1].
    labelled : ndarray of bool, [n]
        Whether an item bears the label that the task needs.
    content : str
        Digest of inputs and labels.
    fields : mapping of str to FieldRows
        What a pair is made of, each field by itself; otherwise the one field.
    """

    ids: list[str]
    groups: list[str]
    load: Callable[[int], Raw]
    task: Task
    classes: tuple[str, ...]
    targets: NDArray[Any]
    labelled: NDArray[np.bool_]
    content: str
    fields: Mapping[str, FieldRows]

    def __len__(self) -> int:
        return len(self.ids)


def read_rows(inputs: Inputs, rows: Index) -> FitRows:
    """Read what `fit` may see of the given rows of the manifest; those without the input are left out.

    Raises
    ------
    InputError
        When there is no such field, or none of the rows has it.
    """
    manifest = inputs.manifest
    keys, present = inputs.keys()
    rows = rows[present[rows]]
    if not len(rows):
        raise InputError(
            f"fit: expected train rows with the field {inputs.name!r} in {manifest.path}; found none; check the split "
            "and the columns of the source."
        )
    single = [Inputs(manifest, (field,)) for field in inputs.fields]
    fields = {each.name: FieldRows(each.keys()[0][rows], each.loader(rows)) for each in single}
    ids, groups = manifest.ids(), manifest.groups()
    targets, labelled = manifest.fit_targets()[rows], manifest.labelled()[rows]
    return FitRows(
        ids=[ids[row] for row in rows.tolist()],
        groups=[groups[row] for row in rows.tolist()],
        load=fields[inputs.name].load if inputs.name in fields else inputs.loader(rows),
        task=manifest.info.task,
        classes=manifest.info.classes,
        targets=targets,
        labelled=labelled,
        content=hashlib.sha256(keys[rows].tobytes() + targets.tobytes() + labelled.tobytes()).hexdigest(),
        fields=fields,
    )


def cut_dev(groups: list[str], seed: int) -> tuple[Index, Index]:
    """Set a tenth of the groups of train aside for early stopping; `split`'s own dev and test rows stay unseen.

    Where these groups are far from a tenth of the rows, groups that are too large are passed over.

    Returns
    -------
    train, dev : ndarray of int64
        Positions in ascending order; dev is empty when there is one group only.
    """
    sizes = Counter(groups)
    names = sorted(sizes)
    count = min(len(names) - 1, max(1, round(_DEV_SHARE * len(names))))
    order = [names[position] for position in np.random.default_rng(seed).permutation(len(names))]
    aside = set(order[:count])
    wanted = _DEV_SHARE * len(groups)

    def off(drawn: Iterable[str]) -> float:
        return abs(sum(sizes[name] for name in drawn) - wanted)

    if count and off(aside) > TOLERANCE * len(groups):
        aside = min(aside, set(fill(order, sizes, wanted, spare=1)), key=off)
    chosen = np.array([group in aside for group in groups], np.bool_)
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


@dataclass(frozen=True)
class FitContext:
    """All that a fitter works with.

    Attributes
    ----------
    name : str
        The entry of params.yaml, for progress and messages.
    options : Options
        Of the fitter's own type.
    seed : int
        Of every draw. Draw each epoch's numbers from (seed, epoch), so that a run that resumes after an epoch draws
        what an uninterrupted one does.
    rows : FitRows
    device : str
        Where networks are trained: a device that is there.
    workers : int
        Threads that read and decode ahead.
    progress : Progress
    checkpoints : Checkpoints
    """

    name: str
    options: Any
    seed: int
    rows: FitRows
    device: str
    workers: int
    progress: Progress
    checkpoints: Checkpoints

    @property
    def label(self) -> str:
        """The words before a progress bar."""
        return f"fit {self.name}"


@dataclass(frozen=True)
class Fitted:
    """What a fitter tells besides the weights that it wrote.

    Attributes
    ----------
    history : sequence of Epoch
        Empty for a fitter without epochs.
    card : EntryCard
        What its card says besides, such as the size of a vocabulary; the same in every run.
    """

    history: Sequence[Epoch] = ()
    card: EntryCard = field(default_factory=EntryCard)


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
                    for each in _prepared_or_told(context, *ahead.popleft()):
                        good += 1
                        yield each
            while ahead:
                for each in _prepared_or_told(context, *ahead.popleft()):
                    good += 1
                    yield each
        finally:
            pool.shutdown(cancel_futures=True)
    if not good:
        raise RunError(
            f"fit {context.name}: expected train rows that can be read; found none among {len(context.rows)}; run "
            "`dvc repro --force prepare`, which lists what is wrong."
        )


def _prepared_or_told(context: FitContext, position: int, future: Future[Prepared]) -> Iterator[tuple[int, Prepared]]:
    try:
        prepared = future.result()
    except ITEM_ERRORS as error:
        _LOG.warning("fit %s: %s is left out: %s", context.name, context.rows.ids[position], error)
        return
    yield position, prepared
