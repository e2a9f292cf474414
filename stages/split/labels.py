"""What the protocols and the summary ask about labels, without a column per class where one per row will do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from stages.errors import InputError
from stages.items import Manifest


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
