"""Inputs that do not fit are refused in words that help, and what an earlier run wrote keeps its bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store import CorruptMatrix
from store.errors import InputError
from store.items.split import write_split

PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)
VECTORS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
NAMES = ("metrics.json", "ranked.parquet", "curve.csv")


def retrieve(dataset: Any, **params: Any) -> None:
    settings = RetrieveParams(**{"features": ["m"], "k": [1, 5], **params})
    inputs = RetrieveInputs(dataset.manifest, dataset.split, (dataset.root / "m.zarr.zip",))
    run(settings, inputs, RetrieveOutputs(*(dataset.root / name for name in NAMES)), SilentProgress())


def written(dataset: Any) -> list[bytes]:
    return [(dataset.root / name).read_bytes() for name in NAMES]


def other_items(dataset: Any) -> None:
    dataset.matrix("m", VECTORS, ids=[f"other{row}" for row in range(40)])


def fewer_items(dataset: Any) -> None:
    dataset.matrix("m", VECTORS[:39])


def not_a_number(dataset: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Our writer refuses it: this file is one of a tool that does not look.
        patch.setattr("store.matrices.writing.finite_rows", lambda values: np.ones(len(values), np.bool_))
        wrong = VECTORS.copy()
        wrong[17, 1] = np.nan
        dataset.matrix("m", wrong)


def damaged(dataset: Any) -> None:
    path = dataset.root / "m.zarr.zip"
    content = path.read_bytes()
    value = VECTORS[:4].tobytes()
    assert value in content
    path.write_bytes(content.replace(value, np.full(12, np.nan, np.float32).tobytes()))


def nobody_asks(dataset: Any) -> None:
    write_split(dataset.split, dataset.ids(40), ["train"] * 40, {})


def nothing_to_find(dataset: Any) -> None:
    write_split(dataset.split, dataset.ids(40), ["test"] * 40, {})


def too_small_a_gallery(dataset: Any) -> None:
    write_split(dataset.split, dataset.ids(40), ["train"] * 4 + ["test"] * 36, {})


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (other_items, InputError, "expected the 40 items of the manifest in its order"),
        (fewer_items, InputError, "found 39 items"),
        (not_a_number, InputError, "expected finite features, found NaN or infinity for item 'i017'; embed it again"),
        (damaged, CorruptMatrix, "delete it and run `dvc repro`"),
        (nobody_asks, InputError, "expected labelled test rows with an input to ask with, found none among 0"),
        (nothing_to_find, InputError, "expected labelled gallery rows with an input, found none among 0"),
        (too_small_a_gallery, InputError, "expected k of at most 4, .* found 5; lower k"),
    ],
)
def test_it_is_refused_and_the_old_outputs_keep_their_bytes(
    dataset: Any, spoil: Callable[[Any], None], error: type[Exception], message: str
) -> None:
    dataset.write("multiclass", np.arange(40) % 4, list(PARTS))
    dataset.matrix("m", VECTORS)
    retrieve(dataset)
    before = written(dataset)
    spoil(dataset)
    with pytest.raises(error, match=message):
        retrieve(dataset)
    assert written(dataset) == before
    assert not list(dataset.root.glob(".*"))


def test_a_gallery_without_a_relevant_item_is_refused_too(dataset: Any) -> None:
    dataset.write("multiclass", np.arange(40), list(PARTS))
    dataset.matrix("m", VECTORS)
    with pytest.raises(InputError, match="expected queries with a relevant gallery item, found none among 8"):
        retrieve(dataset)
    assert not any((dataset.root / name).exists() for name in NAMES)
