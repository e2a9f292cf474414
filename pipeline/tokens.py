"""Says which texts an encoder cannot tell apart: `embed` by their vectors, the dry run of `prepare` by their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.params import Params
from stages.embed.alike import Alike, plain
from stages.embed.params import EmbedParams
from stages.encoders.hub import is_fetched, is_hub_id
from stages.encoders.text.unknown import Tokenising
from stages.errors import DiptychError
from store.backend import printable

_REMEDY = "take an encoder that knows their signs (docs/encoders.md, languages)"
_SHOWN = 40


def told_alike(found: Alike) -> str:
    """Say how many texts have the vector of another text, and what to do."""
    one, two = (printable(each[:_SHOWN]) for each in found.example)
    return (
        f"{found.texts:,} of {found.of:,} distinct texts have the vector of another text, such as {two!r} that of "
        f"{one!r}: this encoder cannot tell them apart; {_REMEDY}"
    )


def token_lines(params: Params, texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield the name of each entry of `embed` whose tokeniser cannot read some texts, and what it makes of them.

    Parameters
    ----------
    params : Params
        Its frozen text encoders are asked, those whose files are on this machine; nothing is fetched.
    texts : mapping of str to sequence of str
        By field, distinct texts with signs beyond ASCII: tokenisers know the others.
    """
    for name, entry in params.embed.items():
        if not texts.get(entry.field) or entry.row.kind != "text" or entry.row.fitted or _is_away(entry):
            continue
        try:
            if said := _looked(entry, texts[entry.field]):
                yield name, said
        except DiptychError as error:
            yield name, f"not looked at: {error}"


def _is_away(entry: EmbedParams) -> bool:
    model = entry.model or entry.row.model
    revision = entry.revision or (None if entry.model else entry.row.revision)
    return is_hub_id(model) and not is_fetched(model, revision)


def _looked(entry: EmbedParams, texts: Sequence[str]) -> str:
    encoder = entry.row.build(entry.choice())
    if not isinstance(encoder, Tokenising):
        return ""
    encoder.load_tokenizer()
    first: dict[tuple[int, ...], str] = {}
    ids = encoder.prepare(texts)
    same = sum(plain(first.setdefault(tuple(each), text)) != plain(text) for each, text in zip(ids, texts, strict=True))
    unknown = encoder.unknown
    if not same and not unknown.some:
        return ""
    return (
        f"of {len(texts):,} texts with signs beyond ASCII {unknown.most:,} are half or more unknown tokens "
        f"({(unknown.tokens - unknown.known) / max(1, unknown.tokens):.1%} of all their tokens), and {same:,} have the "
        f"tokens of another text; {_REMEDY}"
    )
