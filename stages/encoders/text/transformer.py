"""BERT-like encoders (`bert`, `bge`, `minilm`): tokenise, one forward pass, pool; systems.md 2.1 and 2.2."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.encoders.protocol import Vectors
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.weights import files_digest, resolve_model
from stages.errors import InputError

Pool = Literal["pooled", "cls", "mean"]
_CODE_VERSION = 1
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


class TransformerText:
    """A Hugging Face text encoder with a fixed pooling.

    Parameters
    ----------
    model : str
        Folder in the Hugging Face layout, see `resolve_model`.
    pool : {"pooled", "cls", "mean"}
        BertPooler's tanh output, the last layer's [CLS], or the masked mean of the last layer.
    max_len : int
        Pieces kept, [CLS] and [SEP] included; the head of a longer text is kept.
    normalise : bool
        Divide each vector by its Euclidean norm.
    """

    budget = 2048
    window = 2048

    def __init__(self, model: str, pool: Pool, max_len: int, *, normalise: bool) -> None:
        self.model, self.pool, self.max_len, self.normalise = model, pool, max_len, normalise
        self.folder = resolve_model(model)
        self.dim = int(_read_config(self.folder)["hidden_size"])

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights, configuration and tokenizer by content, and every choice above."""
        tokenizer = [self.folder / name for name in _TOKENIZER_FILES if (self.folder / name).is_file()]
        return {
            "family": "transformer",
            "weights": files_digest([self.folder / "model.safetensors"]),
            "config": files_digest([self.folder / "config.json"]),
            "tokenizer": files_digest(tokenizer),
            "pool": self.pool,
            "layer": "last",
            "max_len": self.max_len,
            "truncation": "head",
            "normalise": "l2" if self.normalise else "none",
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def load(self, device: str) -> None:
        """Load tokenizer and weights from the folder alone; no network, no code from the folder is run."""
        from transformers import AutoModel, AutoTokenizer  # slow to import, needed on a miss only

        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        model = AutoModel.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
        self._model = model.eval().to(device)

    def prepare(self, raw: str) -> list[int]:
        """Return the token ids of one text, special tokens included, at most `max_len`."""
        encoded = self._tokenizer(normalise_text(raw), truncation=True, max_length=self.max_len)
        ids: list[int] = encoded["input_ids"]
        return ids

    def cost(self, prepared: list[int]) -> int:
        """Return the number of tokens."""
        return len(prepared)

    def encode(self, batch: Sequence[list[int]]) -> Vectors:
        """Return the pooled vectors [n, D]; padding never changes them beyond rounding."""
        import torch

        longest = max(len(ids) for ids in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros(len(batch), longest, dtype=torch.long)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        with torch.inference_mode():
            output = self._model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device))
            vectors = self._pool(output, mask.to(self._device))
            if self.normalise:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        pooled: Vectors = vectors.float().cpu().numpy().astype(np.float32)
        return pooled

    def _pool(self, output: Any, mask: Any) -> Any:
        if self.pool == "pooled":
            return output.pooler_output
        states = output.last_hidden_state  # [n, T, D]
        if self.pool == "cls":
            return states[:, 0]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file() or not (folder / "model.safetensors").is_file():
        raise InputError(
            f"model: expected config.json and model.safetensors in {folder.name!r}; found "
            f"{sorted(each.name for each in folder.iterdir())[:12]}; save the model with save_pretrained()."
        )
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return config
