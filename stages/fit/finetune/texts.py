"""Fits `bert-ft` and `bge-ft`: BERT-like, with a linear classifier; docs/systems/encoders.md#bert-ft."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from stages.fit.context import FitContext, Fitted
from stages.fit.finetune.classifier import Body, train_classifier
from stages.fit.options import BertOptions
from stages.models.encoders.catalog.encoders import FROZEN
from stages.models.encoders.text.finetuned import BASE, HEAD
from stages.models.encoders.text.tokens import padded
from stages.models.encoders.text.transformer import Pooling, TransformerText
from store.files.outputs import write_json


def fit_text(base: str, context: FitContext, folder: Path) -> Fitted:
    """Fine-tune `base`, an encoder of the catalogue, and write a folder in the Hugging Face layout and the classifier.

    Raises
    ------
    InputError
        When the base model cannot be loaded, or not one text be read.
    RunError
        When the training diverged.
    """
    encoder = base_encoder(base, context.options, context.seed)
    module = encoder.load_module()

    def prepare(raw: str, rng: np.random.Generator | None) -> list[int]:  # noqa: ARG001 (texts are not augmented)
        return encoder.prepare([raw])[0]

    network, fitted = train_classifier(context, Body(module, encoder.dim, prepare, padded))
    module.backbone.save_pretrained(folder)
    head = {name: value.detach().contiguous() for name, value in network.head.state_dict().items()}
    save_file(head, folder / HEAD)
    for path in encoder.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    write_json(folder / BASE, {"encoder": base, "identity": encoder.identity()})
    return fitted


def base_encoder(name: str, options: BertOptions, seed: int) -> TransformerText:
    """Return the encoder of the catalogue that is fine-tuned, with the weights that the options name."""
    row = FROZEN[name]
    revision = options.revision if options.model else options.revision or row.revision
    pooling = Pooling(options.pool, options.max_len, normalise=False)
    return TransformerText(options.model or row.model, pooling, revision, seed)
