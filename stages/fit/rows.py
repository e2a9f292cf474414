"""The rows that an encoder is fitted on: raw inputs, groups and labels of train, in the order of the manifest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Task
from stages.encoders.inputs import Inputs
from stages.errors import InputError
from stages.whole_groups import TOLERANCE, fill

Raw = Any  # `str`, the encoded `bytes` of a picture, or a tuple of both, as the encoder reads it
Index = NDArray[np.int64]


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


def cut_dev(groups: list[str], seed: int, share: float = 0.1) -> tuple[Index, Index]:
    """Set a share of the groups of train aside for early stopping; `split`'s own dev and test rows stay unseen.

    Where these groups are far from the share of the rows, groups that are too large are passed over.

    Returns
    -------
    train, dev : ndarray of int64
        Positions in ascending order; dev is empty when there is one group only.
    """
    sizes = Counter(groups)
    names = sorted(sizes)
    count = min(len(names) - 1, max(1, round(share * len(names))))
    order = [names[position] for position in np.random.default_rng(seed).permutation(len(names))]
    aside = set(order[:count])
    wanted = share * len(groups)

    def off(drawn: Iterable[str]) -> float:
        return abs(sum(sizes[name] for name in drawn) - wanted)

    if count and off(aside) > TOLERANCE * len(groups):
        aside = min(aside, set(fill(order, sizes, wanted, spare=1)), key=off)
    chosen = np.array([group in aside for group in groups], np.bool_)
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
