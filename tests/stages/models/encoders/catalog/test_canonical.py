"""Today's vectors of twenty fixed items are those of the reference implementations, written down once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement

FOLDER = next(each for each in Path(__file__).parents if each.name == "tests") / "fixtures" / "canonical"
EXACT = 0.999999
# Of each file of vectors: the encoder, and what is chosen of it.
CASES = {
    "hash": ("hash", {}),
    "use": ("use", {}),
    "use-random-dan": ("use", {"model": "random"}),
    "use-random-transformer": ("use", {"model": "random", "variant": "transformer"}),
    "wordvec-random": ("wordvec", {"model": "random"}),
    "minilm": ("minilm", {}),
    "colorhist": ("colorhist", {}),
    "efficientnet-lite0": ("efficientnet-lite0", {}),
}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def items(kind: str) -> list[str] | list[bytes]:
    if kind == "text":
        return json.loads((FOLDER / "texts.json").read_text("utf-8"))
    return [path.read_bytes() for path in sorted((FOLDER / "pictures").iterdir())]


def least_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the least cosine of the rows; two rows of zeros are alike, one such row is like no other."""
    lengths = [np.linalg.norm(each.astype(np.float64), axis=1) for each in (first, second)]
    products = np.einsum("nd,nd->n", first.astype(np.float64), second.astype(np.float64))
    alike = (lengths[0] == 0) & (lengths[1] == 0)
    return float(np.where(alike, 1, products / np.maximum(lengths[0] * lengths[1], 1e-30)).min())


def vectors(encoder, prepared: list) -> np.ndarray:
    return encoder.encode(prepared)[:, : encoder.parts[0].width]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_the_reference(case, device):
    name, choices = CASES[case]
    encoder = build_encoder(name, EncoderChoice(**choices))
    encoder.load(Placement(device=device))
    expected = np.load(FOLDER / "vectors" / f"{case}.npy", allow_pickle=False)
    prepared = encoder.prepare(items(ENCODERS[name].kind))
    alone = np.concatenate([vectors(encoder, [each]) for each in prepared])
    assert least_cosine(alone, expected) >= EXACT
    assert least_cosine(vectors(encoder, prepared), expected) >= EXACT


def test_there_are_ten_items_of_each_kind_and_no_vectors_that_nobody_reads():
    assert {len(items(kind)) for kind in ("text", "image")} == {10}
    assert {path.stem for path in (FOLDER / "vectors").iterdir()} == set(CASES)


def test_a_moved_vector_would_be_seen():
    expected = np.load(FOLDER / "vectors" / "minilm.npy", allow_pickle=False)
    assert least_cosine(expected, expected) >= EXACT
    assert least_cosine(expected + np.float32(0.002) * np.roll(expected, 1, axis=1), expected) < EXACT
    assert least_cosine(np.zeros_like(expected), expected) == 0


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 400_000
