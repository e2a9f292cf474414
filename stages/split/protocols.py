"""Chooses the protocol that the parameters name; holds those that cut by class or by order. `run` calls it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from fractions import Fraction

import numpy as np

from stages.split.params import SplitParams
from stages.split.partition import Cut, cut_dev, far_note, hold_out, honour, named, shuffled
from stages.split.retrieval_protocols import by_held_out, by_rows, held_out_values, roles_within
from store.errors import InputError
from store.items.manifest import Manifest


def label_keys(manifest: Manifest) -> list[Hashable | None]:
    """Return one thing for all classes of a row, equal for rows with equal classes; None where a row has none.

    Raises
    ------
    InputError
        When the task is a regression.
    """
    if manifest.info.task == "regression":
        raise InputError(
            "expected classes for a protocol of retrieval, found a regression; set split.protocol to holdout or first_n"
        )
    if manifest.info.task == "multiclass":
        return [None if place < 0 else place for place in manifest.class_index().tolist()]
    rows = np.packbits(manifest.label_matrix(), axis=1)
    return [row.tobytes() if known else None for row, known in zip(rows, manifest.labelled(), strict=True)]


def untrained_classes(manifest: Manifest, parts: Sequence[str]) -> list[str]:
    """Return the classes of which no train row tells, in their order."""
    train = np.asarray(parts) == "train"
    if manifest.info.task == "multiclass":
        trained = np.isin(np.arange(len(manifest.info.classes)), manifest.class_index()[train])
    else:
        trained = manifest.label_matrix()[train].any(axis=0)
    return [name for name, learnt in zip(manifest.info.classes, trained, strict=True) if not learnt]


def half_share(rows: int, share: float) -> int:
    """Return how many of the rows of a class go to dev, and as many to test: half of the share, all rounded down.

    The share is taken as it is written: 0.29 of 100 are 29, which in binary fractions would be 28.
    """
    return int(Fraction(repr(share)) * rows) // 2


def by_class(groups: Sequence[str], label_of: Sequence[int], classes: Sequence[str], share: float, seed: int) -> Cut:
    """Draw dev and test rows from each class.

    Parameters
    ----------
    groups : sequence of str, length N
        The group of each row, which goes to one part as a whole: the first of its classes draws for it.
    label_of : sequence of int, length N
        The position of each row's class in `classes`, -1 where it has none; a group without a class trains.
    classes : sequence of str
        All classes in their order.
    share : float
        Of each class, for dev and test together.
    seed : int
        Of the order of the groups.

    Returns
    -------
    Cut
        `train_only` counts and names the classes from which nothing was drawn.

    Raises
    ------
    InputError
        When no class is large enough.
    """
    members = _members(groups, label_of)
    part_of: dict[str, str] = {}
    for names in members.values():
        half = half_share(len(names), share)
        order = shuffled(names, seed)
        part_of |= dict.fromkeys(order[:half], "test") | dict.fromkeys(order[half : 2 * half], "dev")
    if not part_of:
        largest = max(map(len, members.values()), default=0)
        raise InputError(
            f"expected a class of which {share:.0%} are two groups or more, found at most {largest} groups in one; "
            "raise split.share, or choose the protocol holdout"
        )
    small = [name for place, name in enumerate(classes) if not half_share(len(members.get(place, ())), share)]
    return Cut([part_of.get(group, "train") for group in groups], counts={"train_only": named(small)})


def _members(groups: Sequence[str], label_of: Sequence[int]) -> dict[int, list[str]]:
    """Return the groups that each class draws from: a group that stands in several belongs to the first of them."""
    first: dict[str, int] = {}
    for group, label in zip(groups, label_of, strict=True):
        if label >= 0:
            first[group] = min(label, first.get(group, label))
    members: defaultdict[int, list[str]] = defaultdict(list)
    for group, label in first.items():
        members[label].append(group)
    return members


def by_order(groups: Sequence[str], first: int, dev: float, seed: int) -> Cut:
    """Take the first rows for train, with all further rows of their groups, and the others for test.

    Parameters
    ----------
    groups : sequence of str, length N
        The group of each row, in the order of the manifest.
    first : int
        So many rows train.
    dev : float
        Share of the train rows to cut for dev, by group.
    seed : int
        Of the order of the groups in that cut.

    Returns
    -------
    Cut
        `moved_to_train` counts the later rows that follow their group, and those groups.

    Raises
    ------
    InputError
        When no row is left for test, or the train rows have fewer than two groups.
    """
    early = set(groups[:first])
    parts = ["train" if group in early else "test" for group in groups]
    if "test" not in parts:
        raise InputError(
            f"expected rows after the first {first} whose groups are not among them, found {len(groups)} rows and "
            "none such; lower split.first"
        )
    moved = [group for group in groups[first:] if group in early]
    counts = {"moved_to_train": {"rows": len(moved), "groups": len(set(moved))}}
    return Cut(cut_dev(groups, parts, dev, seed), counts=counts)


_WITH_ROLES = ("P-image", "P-group")


def declares(manifest: Manifest, params: SplitParams) -> bool:
    """Tell whether the data set declares its own split and is to be honoured.

    Raises
    ------
    InputError
        When it is, and the protocol is one that gives roles of a retrieval, which no data set declares.
    """
    declared = params.honour and any(part is not None for part in manifest.parts())
    if declared and params.protocol in _WITH_ROLES:
        raise InputError(
            f"expected data without a split of its own for the protocol {params.protocol}, found a declared one; "
            "set split.honour to false, or split.protocol to holdout"
        )
    return declared


def cut(manifest: Manifest, params: SplitParams) -> Cut:
    """Cut a data set as it declares itself, or by the protocol.

    Raises
    ------
    InputError
        When the data has not what the protocol needs.
    """
    groups = manifest.groups()
    made = _cut(manifest, params, groups)
    if not _draws_dev_by_group(manifest, params):
        return made
    test = params.test if params.protocol == "holdout" and not declares(manifest, params) else None
    return made._replace(notes=made.notes + far_note(groups, made.parts, params.dev, test))


def _draws_dev_by_group(manifest: Manifest, params: SplitParams) -> bool:
    if declares(manifest, params):
        return "dev" not in manifest.parts()
    return params.protocol in ("holdout", "first_n", "P-group")


def _cut(manifest: Manifest, params: SplitParams, groups: list[str]) -> Cut:
    if declares(manifest, params):
        return Cut(honour(manifest.ids(), groups, manifest.parts(), params.dev, params.seed))
    match params.protocol:
        case "holdout":
            return Cut(hold_out(groups, params.test, params.dev, params.seed))
        case "per_class":
            classes = manifest.info.classes
            return by_class(groups, manifest.class_index().tolist(), classes, params.share, params.seed)
        case "first_n":
            return by_order(groups, params.first, params.dev, params.seed)
        case "P-image":
            return by_rows(manifest.ids(), groups, label_keys(manifest), params.test, params.dev, params.seed)
        case "P-group":
            return _held_out(manifest, params, groups)


def _held_out(manifest: Manifest, params: SplitParams, groups: list[str]) -> Cut:
    column = manifest.meta(params.by)
    blank = [identity for identity, value in zip(manifest.ids(), column, strict=True) if value is None]
    if blank:
        raise InputError(
            f"expected a {params.by} for every row, found none for {len(blank)}, such as {blank[0]!r}; fill the column "
            "in, or name another in split.by"
        )
    distinct = sorted({value for value in column if value is not None})
    if len(distinct) <= params.held_out:
        raise InputError(
            f"expected more than {params.held_out} values of {params.by} to hold {params.held_out} of them out, found "
            f"{len(distinct)}; lower split.held_out, or name another column in split.by"
        )
    values = held_out_values(distinct, params.held_out, params.seed)
    held = [value in values for value in column]
    parts = by_held_out(groups, held, params.dev, params.seed)
    roles, counts = roles_within(
        label_keys(manifest), held, manifest.meta(params.within), strict_text=params.strict_text
    )
    return Cut(parts, roles, {"held_out": values, **counts})
