"""Which gallery item answers which query, by labels or a column of meta, and how well, from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.retrieve.params import RelevanceRule, RetrieveParams
from stages.retrieve.roles import count_pairs, meta_codes
from store.errors import InputError
from store.items.manifest import Manifest

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Allowed = Callable[[Ints, Ints], Bools]
_STEP = 2048


@dataclass(frozen=True)
class Grades:
    """What is known of the gallery of each query.

    Attributes
    ----------
    mean : float64 [Q]
        The mean Jaccard index over what the query may find: what blind choices reach.
    ideal : float64 [Q, depth]
        The largest, in falling order; 0 where it may find fewer.
    """

    mean: Floats
    ideal: Floats


def grades_of(labels: Bools, queries: Ints, gallery: Ints, allowed: Allowed, depth: int) -> Grades:
    """Grade all that each query may find, block by block.

    Parameters
    ----------
    labels : bool [N, K]
    queries, gallery : int64 [Q], int64 [G]
        Row numbers.
    allowed : callable
        Tells bool [queries, gallery] of what a query may find.
    depth : int
        How many of the best to keep; 0 for none.
    """
    parts = [_graded(labels, asked, gallery, allowed, depth) for asked in _blocks(queries)]
    if not parts:
        return Grades(np.zeros(0), np.zeros((0, depth)))
    return Grades(np.concatenate([each.mean for each in parts]), np.concatenate([each.ideal for each in parts]))


def _graded(labels: Bools, asked: Ints, gallery: Ints, allowed: Allowed, depth: int) -> Grades:
    total, count, best = np.zeros(len(asked)), np.zeros(len(asked)), np.zeros((len(asked), depth), np.float32)
    for block in _blocks(gallery):
        free = allowed(asked, block)
        gains = agreement(labels[asked], labels[block]) * free
        total += gains.sum(axis=1, dtype=np.float64)
        count += free.sum(axis=1)
        if depth:
            both = np.concatenate([best, gains], axis=1)
            best = -np.partition(-both, depth - 1, axis=1)[:, :depth]
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return Grades(mean, -np.sort(-best, axis=1).astype(np.float64))


def agreement(left: Bools, right: Bools) -> NDArray[np.float32]:
    """Return the Jaccard index of all pairs of label sets [q, K] and [g, K]: float32 [q, g]; 1 for two empty sets."""
    shared = left.astype(np.float32) @ right.astype(np.float32).T  # counts of labels: exact in float32
    either = (left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :]).astype(np.float32) - shared
    return np.asarray(np.divide(shared, either, out=np.ones_like(shared), where=either > 0))


def _blocks(rows: Ints) -> Iterator[Ints]:
    yield from (rows[start : start + _STEP] for start in range(0, len(rows), _STEP))


Labels = NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True)
class Relevance:
    """The rule that compares two items.

    Attributes
    ----------
    labels : bool [N, K] or int64 [N]
        The label sets of all items, or one number for each: its class, or the value of the column of meta.
    rule : {"any_label", "same_labels", "jaccard", "same_meta"}
        Sharing one label is enough, or all must be the same, or so large a share of those that either has. Over single
        numbers they agree.
    at_least : float
        That share.
    """

    labels: Labels
    rule: RelevanceRule
    at_least: float = 0.5

    def between(self, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Compare items by their row numbers: bool [queries, gallery]; an item never answers itself."""
        other, sets = queries[:, None] != gallery[None, :], self.label_sets
        if sets is None:
            return np.asarray((self.labels[queries][:, None] == self.labels[gallery][None, :]) & other)
        left, right = sets[queries], sets[gallery]
        if self.rule == "jaccard":
            return np.asarray((agreement(left, right) >= np.float32(self.at_least)) & other)
        shared = left.astype(np.float32) @ right.astype(np.float32).T  # counts of labels: exact in float32
        if self.rule == "any_label":
            return np.asarray((shared > 0) & other)
        full = (shared == left.sum(axis=1)[:, None]) & (shared == right.sum(axis=1)[None, :])
        return np.asarray(full & other)

    @property
    def label_sets(self) -> NDArray[np.bool_] | None:
        """The label sets that can agree more or less, bool [N, K]; None for single numbers."""
        return np.asarray(self.labels, np.bool_) if self.labels.ndim == 2 else None

    def gains(self, query: int, found: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how much the labels of found items [k] agree with a query's, [k]; [0] for single numbers."""
        sets = self.label_sets
        return np.zeros(0, np.float32) if sets is None else agreement(sets[[query]], sets[found])[0]

    def counts(self, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the relevant gallery items of each query, int64 [queries]."""
        return count_pairs(self.between, queries, gallery)


def relevance_of(params: RetrieveParams, manifest: Manifest) -> tuple[Relevance, NDArray[np.bool_]]:
    """Read what relevance is judged by.

    Returns
    -------
    Relevance
    ndarray of bool, [N]
        Which items have it; the others neither ask nor are found.

    Raises
    ------
    InputError
        When the task has no labels and no column of meta is named, or there is no such column.
    """
    if params.same is not None:
        codes = meta_codes(manifest, params.same)
        return Relevance(codes, params.relevance), codes >= 0
    task = manifest.info.task
    if task == "regression":
        raise InputError(
            "expected a task with labels (multilabel or multiclass), found a regression: no item is relevant to "
            "another; name a column of meta (relevance: same_meta), or remove the section `retrieve`"
        )
    labels: Labels = manifest.class_index() if task == "multiclass" else manifest.label_matrix()
    if labels.ndim == 1 and params.relevance == "jaccard":
        raise InputError(
            "expected several labels per item for relevance: jaccard, found one class each, where it is 0 or 1; "
            "choose relevance: any_label"
        )
    return Relevance(labels, params.relevance, params.at_least or 0.5), manifest.labelled()
