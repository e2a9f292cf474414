"""What an item has, a picture or a text, and how good an experiment is on the rows of each kind; `run` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.params import EvaluateParams
from stages.evaluate.scoring import Scored, means_at
from stages.items import Manifest
from stages.records import IMAGE

_PATTERNS = ("image and text", "image only", "text only", "neither")


def patterns_of(manifest: Manifest, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return which of the rows [n] of the manifest have which inputs: positions within `rows`, by pattern.

    Any text field counts as text. Patterns without rows are left out.
    """
    image = manifest.keys(IMAGE)[1][rows]
    texts = [manifest.keys(field)[1][rows] for field in manifest.info.fields]
    text = np.any(texts, axis=0) if texts else np.zeros(len(rows), dtype=bool)
    kinds = 2 * ~image + ~text
    found = {name: np.flatnonzero(kinds == kind) for kind, name in enumerate(_PATTERNS)}
    return {name: places for name, places in found.items() if len(places)}


def presence_lines(
    params: EvaluateParams, scored: Scored, manifest: Manifest, names: Sequence[str]
) -> Iterator[list[str]]:
    """Yield the header and a line for each pattern: how many rows have it, and the means of the metrics over seeds."""
    yield ["pattern", "rows", *names]
    for pattern, places in patterns_of(manifest, scored.truth.rows).items():
        means = means_at(params, scored, places, names)
        yield [pattern, str(len(places)), *(f"{means[name]:.6f}" for name in names)]
