"""BERT-like encoders (`bert`, `bge`, `minilm`): tokenise, one forward pass, pool; docs/systems/encoders.md#bert."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.models.encoders.catalog.row import RANDOM, Pool
from stages.models.encoders.protocol import Part, Placement, Rows, Runtime, ZeroRows, row_width
from stages.models.encoders.running.engines import Array
from stages.models.encoders.running.held import Feed, HeldNetwork
from stages.models.encoders.text.backbone import (
    RANDOM_SIZES,
    RANDOM_TOKENIZER,
    random_bert,
    random_identity,
    read_sizes,
    refuse_left_to_right,
    refuse_words_beyond,
)
from stages.models.encoders.text.tokens import TEXT_RULE, UnknownTokens, normalise_text, padded, trial_texts
from stages.models.encoders.weights import files_digest, resolve_model, weight_files
from store.errors import InputError

_CODE_VERSION = 2
# Families whose vectors were right on every engine before networks were held to torch. Rows of others may be wrong, and
# must not be found again: docs/decisions/0018.
_SOUND_BEFORE = frozenset({
    "albert", "bert", "camembert", "deberta-v2", "electra", "ernie", "luke", "megatron-bert", "mobilebert", "mpnet",
    "nomic_bert", "roberta", "roformer", "squeezebert", "xlm-roberta",
})  # fmt: skip
# Every file that a Hugging Face tokeniser of any family may read.
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
# Tokens in a batch. On a processor more of them leave its cache; a GPU needs more to be kept busy.
_BUDGET = {"cpu": 2048, "cuda": 32_768}


@dataclass(frozen=True)
class Pooling:
    """How the vector of a text comes out of a transformer.

    Attributes
    ----------
    pool : {"pooled", "cls", "mean"}
        BertPooler's tanh output, the last layer's [CLS], or the masked mean of the last layer.
    max_len : int
        Pieces kept, [CLS] and [SEP] included; the head of a longer text is kept.
    normalise : bool
        Divide each vector by its Euclidean norm.
    tokens : bool
        Whether a row holds the last layer [max_len, D] too, behind its vector.
    """

    pool: Pool
    max_len: int
    normalise: bool
    tokens: bool = False


class TransformerText:
    """A Hugging Face text encoder with a fixed pooling.

    Parameters
    ----------
    model : str
        Folder in the Hugging Face layout or hub id, see `resolve_model`; or `random`, BERT-base drawn from `seed`.
    pooling : Pooling
    revision : str, optional
        The commit of a hub id.
    seed : int
    """

    zero_rows: ZeroRows = "refused"
    runs_network = True
    bytewise = False
    budget = _BUDGET["cpu"]
    concurrency = 1
    window = 2048
    chunk = 128

    def __init__(self, model: str, pooling: Pooling, revision: str | None = None, seed: int = 0) -> None:
        self.model, self.pooling, self.seed = model, pooling, seed
        self.folder = resolve_model(RANDOM_TOKENIZER if model == RANDOM else model, revision)
        self.sizes = RANDOM_SIZES if model == RANDOM else read_sizes(self.folder)
        length, most = pooling.max_len, self.sizes.positions
        if length > most:
            raise InputError(f"max_len: expected at most the model's {most} positions; found {length}; lower it.")
        states = (Part("tokens", (length, self.sizes.width), counted=True),) if pooling.tokens else ()
        self.parts = (Part("vectors", (self.sizes.width,)), *states)
        self.dim = row_width(self.parts)
        self._truncated, self._lock = 0, threading.Lock()
        self.unknown = UnknownTokens()

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights, configuration and tokenizer by content, and every choice above."""
        return {
            "family": "transformer",
            **self._weights_identity(),
            "tokenizer": files_digest(self.tokenizer_files),
            "pool": self.pooling.pool,
            "layer": "last",
            "max_len": self.pooling.max_len,
            "truncation": "head",
            "normalise": "l2" if self.pooling.normalise else "none",
            "parts": [part.name for part in self.parts],
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
            **({} if self.sizes.family in _SOUND_BEFORE else {"held_to_torch": True}),
        }

    @property
    def tokenizer_files(self) -> list[Path]:
        """Files of the folder that a tokeniser may read."""
        return [self.folder / name for name in _TOKENIZER_FILES if (self.folder / name).is_file()]

    def _weights_identity(self) -> Mapping[str, Any]:
        if self.model == RANDOM:
            return random_identity(self.seed)
        return {
            "weights": files_digest(weight_files(self.folder)),
            "config": files_digest([self.folder / "config.json"]),
        }

    def load(self, placement: Placement) -> Runtime:
        """Load tokenizer and weights from the folder alone; no network, no code from the folder is run."""
        self.load_tokenizer()
        trial, alone = self.trial()
        feed = Feed(padded, self._rows, self.parts[0].width, trial, alone, length=len)
        self._network = HeldNetwork(self.load_module, feed, placement)
        self.budget = self.budget_on(placement)
        self.concurrency = self._network.concurrency
        return self._network.runtime

    def trial(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return what `trial_texts` gives, once the tokeniser is loaded."""
        return trial_texts(self._tokenizer, self.pooling.max_len)

    def budget_on(self, placement: Placement) -> int:
        """Return the tokens of a batch that suit a device."""
        return _BUDGET[placement.device.partition(":")[0]]

    def load_module(self) -> Any:
        """Load what `prepare` needs, and return the network behind `encode` as a torch module; `fit` trains it.

        Its attribute `backbone` is the transformers model, in float32 on the processor.

        Raises
        ------
        InputError
            When the files cannot be loaded, the tokeniser knows words that the network has no vector for, or the
            network reads from left to right only.
        """
        self.load_tokenizer()
        backbone = random_bert(self.seed) if self.model == RANDOM else self._load_backbone()
        refuse_words_beyond(backbone, self._tokenizer)
        refuse_left_to_right(backbone, self.trial()[0][1])
        _without_loss(backbone)
        return _pooling_module(backbone, self.pooling)

    def load_tokenizer(self) -> None:
        """Load the tokeniser, which then truncates by itself: a call from two threads changes nothing in it."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            rust = tokenizer.backend_tokenizer
        except Exception as error:  # what a broken folder raises is as varied as what broke it
            raise self._unloadable(error) from error
        rust.no_padding()
        rust.enable_truncation(self.pooling.max_len)
        self._tokenizer = rust
        self.unknown = UnknownTokens(tokenizer.unk_token_id, len(rust.encode("").ids))

    def _load_backbone(self) -> Any:
        import torch  # slow to import, like transformers; needed on a miss only
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model, found = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:
            raise self._unloadable(error) from error
        self._refuse_missing(found["missing_keys"])
        return model

    def _unloadable(self, error: Exception) -> InputError:
        return InputError(
            f"model: expected weights and tokenizer that load in {self.folder.name!r}; found "
            f"{type(error).__name__}: {str(error)[:200]}; save the model with save_pretrained()."
        )

    def _refuse_missing(self, names: Iterable[str]) -> None:
        """Refuse weights that the file lacks, which transformers would draw at random; an unused pooler may lack."""
        missing = sorted(name for name in names if self.pooling.pool == "pooled" or not name.startswith("pooler."))
        if missing:
            raise InputError(
                f"model: expected all weights of the network in {self.folder.name!r}; found none for {len(missing)}, "
                f"such as {missing[0]!r}; take the whole model, or another pool when only the pooler is missing."
            )

    def prepare(self, raws: Sequence[str]) -> list[list[int]]:
        """Return the token ids of some texts, special tokens included, at most `max_len` each."""
        encodings = self._tokenizer.encode_batch_fast([normalise_text(raw) for raw in raws])
        with self._lock:  # threads of `prepare` share the count
            self._truncated += sum(1 for encoding in encodings if encoding.overflowing)
        ids: list[list[int]] = [encoding.ids for encoding in encodings]
        self.unknown.add(ids)
        return ids

    def notes(self) -> Mapping[str, int]:
        """Return how many of the texts so far were cut to `max_len`, and how many held unknown tokens."""
        return {"truncated": self._truncated, **self.unknown.notes()}

    def cost(self, prepared: list[int]) -> int:
        """Return the number of tokens."""
        return len(prepared)

    def encode(self, batch: Sequence[list[int]]) -> Rows:
        """Return the rows [n, dim]; padding never changes them beyond rounding."""
        return self._network(batch)

    def _rows(self, batch: Sequence[list[int]], outputs: Sequence[Array]) -> Rows:
        vectors, *states = outputs
        if not states:
            return vectors
        rows = np.zeros((len(batch), self.dim), dtype=np.float32)
        width, length = vectors.shape[1], states[0].shape[1]
        rows[:, :width] = vectors
        filled = padded(batch)[1].astype(bool)
        rows[:, width:-1].reshape(len(batch), self.pooling.max_len, width)[:, :length][filled] = states[0][filled]
        rows[:, -1] = filled.sum(axis=1)
        return rows


def _without_loss(backbone: Any) -> None:
    """Say that no part of a network has a loss, which transformers (5.23) would have to guess, with a notice.

    Whoever traces a network, as OpenVINO does, reads every attribute of every part, `loss_function` among them.
    """
    for part in backbone.modules():
        if hasattr(type(part), "loss_function"):
            part.loss_function = None


def _pooling_module(backbone: Any, pooling: Pooling) -> Any:
    """Return a module from (ids, mask) [n, T] to (vectors [n, D],) or (vectors, states [n, T, D]).

    A third input [n, D] takes the place of the first token's word embedding; position and segment stay its own.
    """
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, ids: Any, mask: Any, first: Any = None) -> tuple[Any, ...]:
            output = self.backbone(attention_mask=mask, **self._read(ids, first))
            # In float32 from here, whatever the layers before were computed in.
            states = output.last_hidden_state.to(torch.float32)
            vectors = self._vectors(output, states, mask)
            if pooling.normalise:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
            return (vectors, states) if pooling.tokens else (vectors,)

        def _read(self, ids: Any, first: Any) -> dict[str, Any]:
            if first is None:
                return {"input_ids": ids}
            words = self.backbone.get_input_embeddings()(ids)
            return {"inputs_embeds": torch.cat([first.unsqueeze(1), words[:, 1:]], dim=1)}

        def _vectors(self, output: Any, states: Any, mask: Any) -> Any:
            if pooling.pool == "pooled":
                return output.pooler_output.to(torch.float32)
            if pooling.pool == "cls":
                return states[:, 0]
            weights = mask.unsqueeze(-1).to(states.dtype)
            return (states * weights).sum(dim=1) / weights.sum(dim=1)

    return Pooled()
