"""BERT-like encoders (`bert`, `bge`, `minilm`): tokenise, one forward pass, pool; systems.md 2.1 and 2.2."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.encoders.protocol import Engine, Vectors
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.weights import files_digest, resolve_model
from stages.errors import InputError

Pool = Literal["pooled", "cls", "mean"]
_CODE_VERSION = 1
# Every file that a Hugging Face tokeniser of any family may read.
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip


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

    engine: Engine = "torch"
    budget = 2048
    window = 2048

    def __init__(self, model: str, pool: Pool, max_len: int, *, normalise: bool) -> None:
        self.model, self.pool, self.max_len, self.normalise = model, pool, max_len, normalise
        self.folder = resolve_model(model)
        self.dim, positions = _read_sizes(self.folder)
        if max_len > positions:
            raise InputError(f"max_len: expected at most the model's {positions} positions; found {max_len}; lower it.")

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
        import torch  # slow to import, like transformers; needed on a miss only
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._device = device
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model, found = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:  # what a broken folder raises is as varied as what broke it
            raise InputError(
                f"model: expected weights and tokenizer that load in {self.folder.name!r}; found "
                f"{type(error).__name__}: {str(error)[:200]}; save the model with save_pretrained()."
            ) from error
        # The first call writes the truncation into the tokeniser itself, which two threads must not do at once.
        self.prepare("")
        self._refuse_missing(found["missing_keys"])
        self._model = model.eval().to(device)

    def _refuse_missing(self, names: Iterable[str]) -> None:
        """Refuse weights that the file lacks, which transformers would draw at random; an unused pooler may lack."""
        missing = sorted(name for name in names if self.pool == "pooled" or not name.startswith("pooler."))
        if missing:
            raise InputError(
                f"model: expected all weights of the network in {self.folder.name!r}; found none for {len(missing)}, "
                f"such as {missing[0]!r}; take the whole model, or another pool when only the pooler is missing."
            )

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

        lengths = np.array([len(tokens) for tokens in batch])
        filled = np.arange(lengths.max()) < lengths[:, None]  # [n, T]
        padded = np.zeros(filled.shape, dtype=np.int64)
        padded[filled] = np.concatenate(batch)
        ids = torch.from_numpy(padded).to(self._device)
        mask = torch.from_numpy(filled.astype(np.int64)).to(self._device)
        with torch.inference_mode():
            vectors = self._pool(self._model(input_ids=ids, attention_mask=mask), mask)
            if self.normalise:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        pooled: Vectors = vectors.cpu().numpy()
        return pooled

    def _pool(self, output: Any, mask: Any) -> Any:
        if self.pool == "pooled":
            return output.pooler_output
        states = output.last_hidden_state  # [n, T, D]
        if self.pool == "cls":
            return states[:, 0]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _read_sizes(folder: Path) -> tuple[int, int]:
    path = folder / "config.json"
    if not path.is_file() or not (folder / "model.safetensors").is_file():
        found = sorted(each.name for each in folder.iterdir())[:12] if folder.is_dir() else "a file"
        raise InputError(
            f"model: expected a folder with config.json and model.safetensors; found {found} at {folder.name!r}; "
            "save the model with save_pretrained()."
        )
    try:
        config = json.loads(path.read_text("utf-8"))
        return int(config["hidden_size"]), int(config["max_position_embeddings"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"model: expected hidden_size and max_position_embeddings in {folder.name}/config.json; found {error!r}; "
            "name the folder of a BERT-like model."
        ) from error
