"""Chooses the protocol that the parameters name and gives it the columns of the manifest; `run` calls it."""

from __future__ import annotations

from stages.errors import InputError
from stages.items import Manifest
from stages.split.class_shares import by_class
from stages.split.cut import Cut
from stages.split.declared import honour
from stages.split.first_rows import by_order
from stages.split.held_out_groups import by_held_out, held_out_values, roles_within
from stages.split.image_rows import by_rows
from stages.split.labels import label_keys
from stages.split.params import SplitParams
from stages.split.partition import far_note, hold_out

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
