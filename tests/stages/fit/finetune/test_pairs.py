"""`bert-pair-ft`: true pairs are told from shuffled ones, and `embed` gives exactly what was trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from stages.fit.finetune.pairs import Pair, mismatched
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.weightless import ColorHistogram
from stages.models.encoders.pair.finetuned import FinetunedPair
from stages.models.encoders.protocol import Placement, Precision
from store.errors import InputError
from tests.stages.fit.case import LABELS, Case, Record, make_case, png
from tests.stages.fit.killed import Counting, Killed
from tests.stages.fit.tiny import tiny_bert, tiny_network

(ROW,) = (row for row in ENCODERS.values() if row.kind == "pair")
WORDS = {"animal": "a red cat", "food": "some green apples", "place": "the blue harbour"}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture
def small(bert: str) -> dict[str, Any]:
    return {
        "encoder": "bert-pair-ft", "field": "caption", "model": bert, "epochs": 1, "image_encoder": "colorhist",
        "words_encoder": "wordvec", "words_model": "random", "vse_width": 6, "vse_epochs": 3, "vse_batch": 8,
    }  # fmt: skip


def built(case: Case, placement: Placement | None = None, **choice: Any) -> FinetunedPair:
    encoder = ROW.build(EncoderChoice(fitted=case.outputs.model, **choice))
    encoder.load(placement or Placement())
    assert isinstance(encoder, FinetunedPair)
    return encoder


def raws(case: Case) -> list[tuple[str, bytes]]:
    return [(each.caption, each.picture) for each in case.records if each.caption and each.picture]


def pairs_of(texts: Sequence[int], pictures: Sequence[int], seed: int) -> list[Pair]:
    draws = np.random.default_rng(seed).random(len(texts)).tolist()
    none = np.zeros(1, np.float32)
    return [Pair([text], none, picture, text, draw) for text, picture, draw in zip(texts, pictures, draws, strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_a_shuffled_pair_is_never_a_true_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts, pictures = rng.integers(0, 6, 32).tolist(), rng.integers(0, 20, 32).tolist()
    true = set(zip(pictures, texts, strict=True))
    pairs = pairs_of(texts, pictures, seed)
    wrong = mismatched(pairs, true)
    assert not {(pairs[at].picture, pairs[other].text) for at, other in wrong} & true
    impossible = {at for at in range(32) if all((pictures[at], text) in true for text in texts)}
    assert [at for at, _ in wrong] == [at for at in range(32) if at not in impossible]
    assert wrong != mismatched(pairs_of(texts, pictures, seed + 100), true)


def test_every_other_text_of_the_batch_may_be_drawn() -> None:
    drawn = {mismatched(pairs_of(range(4), range(4), seed), {(at, at) for at in range(4)})[0] for seed in range(60)}
    assert drawn == {(0, 1), (0, 2), (0, 3)}


@pytest.mark.parametrize(
    ("texts", "pictures"),
    [([0], [0]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 0, 0])],
    ids=["a batch of one", "one text", "one picture"],
)
def test_nothing_is_put_together_wrongly_where_all_belong_together(texts: list[int], pictures: list[int]) -> None:
    assert mismatched(pairs_of(texts, pictures, 0), set(zip(pictures, texts, strict=True))) == []


def test_a_text_that_another_row_sets_beside_the_picture_belongs_to_it() -> None:
    # Row 0 and a row of another batch show picture 0; the latter says what row 1 says.
    assert mismatched(pairs_of([0, 1, 2], [0, 1, 2], 0), {(0, 0), (0, 1), (1, 1), (2, 2)})[0] == (0, 2)


def coloured(root: Path, count: int = 48) -> Case:
    """Make a case in which one class has one text, and its pictures one colour beneath noise."""
    rng = np.random.default_rng(1)
    records = []
    for row in range(count):
        at = row % 3
        pixels = rng.integers(0, 60, (16, 18, 3))
        pixels[:, :, at] += 190
        part = ("train", "train", "test")[row // 3 % 3]
        picture = png(pixels.astype(np.uint8))
        records.append(Record(f"i{row:03}", WORDS[LABELS[at]], picture, (LABELS[at],), part))
    return Case(root, tuple(records)).written()


def test_labels_and_what_belongs_together_are_learnt(tmp_path: Path, small: dict[str, Any]) -> None:
    case = coloured(tmp_path / "case")
    card = case.fit(**{**small, "epochs": 30, "lr": 2e-3, "batch": 8, "vse_epochs": 10, "decay": "none"})
    # Both losses are in it: whoever cannot tell true pairs from wrong ones stays above log 2.
    assert card["loss"] < 0.35 < np.log(2)
    assert card["valid_accuracy"] == 1
    logits = built(case, output="logits")
    held = [record for record in case.records if record.part == "test"]
    scores = logits.encode(logits.prepare([(each.caption, each.picture) for each in held if each.picture]))
    assert [LABELS[at] for at in scores.argmax(axis=1)] == [each.labels[0] for each in held]


def test_embed_gives_what_the_trained_network_gives(case: Case, small: dict[str, Any]) -> None:
    case.fit(**small, lr=1e-3)
    folder = case.outputs.model
    trained, visual = AutoModel.from_pretrained(folder).eval(), load_file(folder / "visual.safetensors")
    encoder = built(case)
    items = raws(case)[:5]
    histogram = ColorHistogram()
    histogram.load(Placement())
    expected = []
    for text, picture in items:
        ids = torch.tensor([encoder.text.prepare([text])[0]])
        seen = torch.tensor(histogram.encode(histogram.prepare([picture])))
        first = (seen @ visual["base.weight"].T + visual["base.bias"]) @ visual["visual.weight"].T
        words = trained.embeddings.word_embeddings(ids)
        words[0, 0] = first[0]
        with torch.inference_mode():
            expected.append(trained(inputs_embeds=words).pooler_output[0].numpy())
    assert encoder.dim == 32
    found = encoder.encode(encoder.prepare(items))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    head = load_file(folder / "head.safetensors")
    scores = built(case, output="logits")
    assert scores.dim == 3
    wanted = torch.tensor(np.array(expected)) @ head["weight"].T + head["bias"]
    np.testing.assert_allclose(scores.encode(scores.prepare(items)), wanted, atol=1e-6)


def test_both_halves_of_a_pair_matter_and_company_does_not(case: Case, small: dict[str, Any]) -> None:
    case.fit(**small, lr=1e-3)
    encoder = built(case)
    (text, picture), (other, shown) = raws(case)[:2]
    items = [(text, picture), (other, picture), (text, shown), ("", picture)]
    rows = encoder.encode(encoder.prepare(items))
    assert len(np.unique(rows.round(4), axis=0)) == 4
    alone = [encoder.encode(encoder.prepare([item]))[0] for item in items]
    np.testing.assert_allclose(rows, alone, atol=1e-6)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_either_engine_gives_the_same_vectors(
    case: Case, small: dict[str, Any], tmp_path: Path, precision: Precision
) -> None:
    network = str(tiny_network(tmp_path / "network"))
    case.fit(**{**small, "image_encoder": "resnet18", "image_model": network}, lr=1e-3)
    ours, other = built(case), built(case, Placement(engine="openvino", precision=precision))
    batch = ours.prepare(raws(case)[:20])
    first, second = ours.encode(batch), other.encode(batch)
    cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert cosines.min() >= {"exact": 0.999999, "fast": 0.999}[precision]


def test_another_image_encoder_than_that_of_the_fit_is_refused(
    case: Case, small: dict[str, Any], tmp_path: Path
) -> None:
    network = tiny_network(tmp_path / "network")
    case.fit(**{**small, "image_encoder": "resnet18", "image_model": str(network)})
    held = json.loads((case.outputs.model / "base.json").read_text())
    encoder = built(case)
    assert held["image"]["identity"] == json.loads(json.dumps(encoder.image.identity()))
    assert encoder.identity()["image"] == encoder.image.identity()
    assert (held["image"]["encoder"], held["words"]["encoder"]) == ("resnet18", "wordvec")
    weights = load_file(network / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, network / "model.safetensors")
    with pytest.raises(InputError, match=r"image encoder 'resnet18' that it was fitted behind; found another one .*!="):
        built(case)


def test_rows_need_a_text_and_a_picture_that_can_be_decoded(
    case: Case, small: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    train = [at for at, each in enumerate(case.records) if each.part == "train" and each.caption and each.picture]
    records = list(case.records)
    records[train[0]] = replace(records[train[0]], picture=None)
    records[train[1]] = replace(records[train[1]], caption=None)
    records[train[2]] = replace(records[train[2]], labels=())
    for at in train[3:8]:
        records[at] = replace(records[at], picture=b"no picture")
    card = Case(case.root, tuple(records)).written().fit(**small)
    assert card["rows"] == len(train) - 2
    assert card["train_rows"] + card["dev_rows"] + card["unlabelled"] == card["rows"]
    assert card["unreadable"] == 5
    assert "could not be read" in caplog.text


def test_not_one_readable_picture_is_an_error(case: Case, small: dict[str, Any]) -> None:
    records = tuple(replace(each, picture=b"no picture") for each in case.records)
    with pytest.raises(InputError, match=r"expected train items that can be read; found none among .*UndecodableImage"):
        Case(case.root, records).written().fit(**small)


def test_one_class_per_item(case: Case, small: dict[str, Any]) -> None:
    card = replace(case, task="multiclass").written().fit(**small)
    assert 0.7 < card["loss"] / (np.log(3) + np.log(2)) < 1.4  # labels and matching, hardly trained


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_fit_killed_in_its_base_goes_on_there_and_ends_alike(
    case: Case, tmp_path: Path, small: dict[str, Any], epoch: int
) -> None:
    whole = make_case(tmp_path / "whole")
    told = Counting(of="fit it, vse")
    whole.fit(progress=told, **small)
    rows = told.total // 3
    with pytest.raises(Killed):
        case.fit(progress=Counting(kill_at=epoch * rows + 1, of="fit it, vse"), **small)
    rest = Counting(of="fit it, vse")
    case.fit(progress=rest, **small)
    assert rest.rows == rest.total == (3 - epoch) * rows
    assert case.written_bytes() == whole.written_bytes()
    assert not list(case.states.iterdir())
