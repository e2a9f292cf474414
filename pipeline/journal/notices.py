"""What `prepare` and `embed` tell: items, rejects, what is missing, texts that an encoder cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline import paths
from pipeline.forecast.watched import changed_since_last_time, told
from pipeline.journal.console import PlainTable, out
from pipeline.params.sections import Params
from stages.contract import Progress
from stages.embed.export import Alike, plain
from stages.embed.params import EmbedParams
from stages.models.encoders.text.tokens import Tokenising
from stages.models.encoders.weights import is_fetched, is_hub_id
from stages.prepare.params import PrepareParams
from stages.prepare.summary import PrepareSummary
from store.errors import DiptychError
from store.files.reading import printable


def tell_of_changes(params: PrepareParams, progress: Progress) -> None:
    """Say before a run which files changed behind DVC's back since the last one here; all are read again anyway."""
    changes = changed_since_last_time(params, progress)
    if changes.changed:
        out.print(f"prepare: changed since the last time, where DVC does not watch: {told(changes)}", markup=False)


def print_summary(summary: PrepareSummary) -> None:
    """Print the counts; the table of missing inputs where some items lack what others have."""
    rejected = sum(summary.rejected.values())
    out.print(f"prepare: {summary.kept} items kept, {rejected} rejected of {summary.read}", markup=False)
    if rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.rejected.items())
        out.print(f"prepare: rejected are {reasons}; {paths.REJECTS} lists them", markup=False)
    if any(0 < count < summary.kept for count in summary.missing.values()):
        out.print(_missing_table(summary))
    for note in summary.notes:
        out.print(f"prepare: note: {printable(note)}", markup=False)


def _missing_table(summary: PrepareSummary) -> PlainTable:
    table = PlainTable("source", numbers=("rows", *(f"no {name}" for name in summary.missing)))
    for row in summary.missing_by:
        shares = (f"{count:,} ({row.share[name]:.1%})" for name, count in row.missing.items())
        table.add_row(row.source, f"{row.rows:,}", *shares)
    return table


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
