"""Fits `bert-ft` and `bge-ft`: a BERT-like encoder and a linear classifier, all weights trained; systems.md 3.1."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file

from stages.encoders.finetuned_text import BASE, HEAD
from stages.encoders.row import EncoderChoice
from stages.encoders.text.rows import build_transformer
from stages.encoders.text.transformer import TransformerText, padded, pooling_module
from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.finetune.options import BertOptions
from stages.outputs import write_json


def fit_text(base: str, context: FitContext, folder: Path) -> Fitted:
    """Fine-tune `base`, an encoder of the catalogue, and write a folder in the Hugging Face layout and the classifier.

    Raises
    ------
    InputError
        When the base model cannot be loaded.
    RunError
        When the training diverged.
    """
    options: BertOptions = context.options
    encoder = _base(base, options, context.seed)
    backbone = encoder.load_for_training()
    module = pooling_module(backbone, options.pool, normalise=False, with_tokens=False)

    def prepare(raw: str, rng: np.random.Generator | None) -> list[int]:  # noqa: ARG001 (texts are not augmented)
        return encoder.prepare([raw])[0]

    network, fitted = train_classifier(context, Body(module, encoder.dim, prepare, _collate))
    backbone.save_pretrained(folder)
    head = {name: value.detach().contiguous() for name, value in network.head.state_dict().items()}
    save_file(head, folder / HEAD)
    for path in encoder.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    write_json(folder / BASE, {"encoder": base, "identity": encoder.identity()})
    return fitted


def _base(name: str, options: BertOptions, seed: int) -> TransformerText:
    choice = EncoderChoice(options.model, options.revision, seed=seed, pool=options.pool, max_len=options.max_len)
    return cast("TransformerText", build_transformer(name, choice))


def _collate(texts: Sequence[list[int]]) -> tuple[NDArray[np.int64], ...]:
    return padded(texts)
