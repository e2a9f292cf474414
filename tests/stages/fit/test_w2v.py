"""`w2v` on real captions: the checks of docs/systems/encoders.md#w2v, and what becomes of texts without words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement
from stages.models.encoders.text.w2v import WordVectors, stop_words, words_of
from store.errors import InputError
from tests.stages.fit.case import Case, Record, make_case


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> WordVectors:
    """Word vectors of the train captions."""
    case = make_case(tmp_path_factory.mktemp("w2v"))
    case.fit(encoder="w2v", field="caption", vector_size=12)
    encoder = WordVectors(case.outputs.model)
    assert encoder.load(Placement()).engine == "numpy"
    return encoder


def encoded(encoder: WordVectors, *texts: str) -> np.ndarray:
    rows = encoder.encode(encoder.prepare(texts))
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), encoder.dim) == (len(texts), 12)
    return rows


@pytest.fixture(scope="module")
def words(fitted: WordVectors) -> list[str]:
    """Real words of the vocabulary."""
    return [word for word in fitted._rows if word.isalpha()]


def test_a_word_alone_has_its_own_vector(fitted: WordVectors, words: list[str]) -> None:
    for word in words:
        np.testing.assert_array_equal(encoded(fitted, word)[0], fitted._vectors[fitted._rows[word]])


def test_neither_repetition_nor_order_matters(fitted: WordVectors, words: list[str]) -> None:
    text = " ".join(words[:7])
    once, twice, back = encoded(fitted, text, f"{text} {text}", " ".join(reversed(words[:7])))
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_array_equal(once, back)


def test_unseen_words_are_skipped_and_do_not_count(fitted: WordVectors, words: list[str]) -> None:
    before = fitted.notes()
    known, mixed = encoded(fitted, words[0], f"{words[0]} qwxzqwxz the")
    np.testing.assert_array_equal(known, mixed)
    assert fitted.notes() == {"tokens": before["tokens"] + 3, "oov_tokens": before["oov_tokens"] + 1}


def test_a_text_without_known_words_is_zero_and_counts_as_absent(fitted: WordVectors) -> None:
    assert not encoded(fitted, "", "qwxzqwxz", "the of and", "[12] 345").any()
    assert fitted.zero_rows == "absent"


def test_only_train_words_are_known(fitted: WordVectors, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    train = {word for each in case.records if each.part == "train" for word in words_of(each.caption or "")}
    assert set(fitted._rows) == train
    test = {word for each in case.records if each.part == "test" for word in words_of(each.caption or "")}
    assert test - train


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Cat, and 3 dogs!", ["cat", ",", "dogs", "!"]),
        ("The story[12] of Anna [] and  her\n2 sisters", ["story", "anna", "sisters"]),
        ("It's the cat's, isn\u2019t it?", ["cat", ",", "?"]),
        ("a1b", ["b"]),
        ("caf\u0065\u0301", ["caf\u00e9"]),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_the_stop_words_are_words() -> None:
    assert 200 < len(stop_words()) < 400
    assert {"the", "and", "of", "'s", "not"} < stop_words()
    assert not stop_words() & {"cat", "new", "two", "man"}


def test_texts_without_any_word_are_refused(tmp_path: Path) -> None:
    records = tuple(Record(f"i{row}", "the 12", None, ("food",), "train") for row in range(4))
    case = Case(tmp_path, records).written()
    with pytest.raises(InputError, match="expected a word that 4 texts hold 1 times or more; found none"):
        case.fit(encoder="w2v", field="caption")
    assert not case.outputs.model.exists()


def test_equal_bytes_whatever_the_seed_of_hashes(case: Case) -> None:
    case.fit(encoder="w2v", field="caption", vector_size=8)
    code = (
        "import sys; from pathlib import Path; from tests.stages.fit.case import Case\n"
        "Case(Path(sys.argv[1])).fit(encoder='w2v', field='caption', vector_size=8)"
    )
    before = case.written_bytes()
    root = str(Path(__file__).parents[3])
    for seed in ("0", "77"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", code, str(case.root)], env=environment, cwd=root, check=True)
        assert case.written_bytes() == before


def test_the_identity_follows_the_artefact(fitted: WordVectors, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    case.fit(encoder="w2v", field="caption", vector_size=12)
    same = WordVectors(case.outputs.model)
    assert same.identity() == fitted.identity()
    case.fit(encoder="w2v", field="caption", vector_size=12, seed=3)
    assert WordVectors(case.outputs.model).identity() != fitted.identity()


def test_without_an_entry_of_fit_the_way_is_shown() -> None:
    row = ENCODERS["w2v"]
    with pytest.raises(InputError, match=r"name it in the section `embed` by `fit: <entry>`"):
        row.build(EncoderChoice())
