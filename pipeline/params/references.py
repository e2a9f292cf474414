"""Check the names by which the sections of params.yaml speak of each other; `params` reports what is found here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.models.catalog import did_you_mean
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.fusions.catalog import FUSIONS, count_mistakes
from store.items.records import IMAGE

Found = tuple[tuple[str | int, ...], str]

# Which verbs' entries may be named as features: what is upstream of each.
_READS = {
    "reduce": ("embed",),
    "fuse": ("embed", "reduce"),
    "train": ("embed", "reduce", "fuse"),
    "retrieve": ("embed", "reduce", "fuse"),
}
# Arrays beside the vectors that an encoder gives unless its entry says otherwise.
_BY_DEFAULT = {("wordvec", "tokens")}


def reference_mistakes(content: Mapping[str, Any]) -> Iterator[Found]:
    """Yield every name that points nowhere, in the raw content: it may have other mistakes as well."""
    yield from _repeated_names(content)
    for verb, upstream in _READS.items():
        known = [name for each in upstream for name in _entries(content, each)]
        for name, entry in _entries(content, verb).items():
            for step, wanted in _features(entry):
                if wanted not in known:
                    near = did_you_mean(wanted, known)
                    yield (verb, name, *step), f"no features {wanted!r}{near} in {' or '.join(upstream)}"
    yield from _unknown_fields(content)
    yield from _wrong_fits(content)
    yield from _lacking_arrays(content)
    yield from _unknown_experiments(content)
    if not _entries(content, "train"):
        yield ("train",), "expected at least one experiment; found none; add one (`dummy` is the smallest)"


def _unknown_experiments(content: Mapping[str, Any]) -> Iterator[Found]:
    """Find names in `evaluate.tsne.experiments` that are no entries of `train`."""
    tsne = _entries(content, "evaluate").get("tsne")
    named = tsne.get("experiments") if isinstance(tsne, dict) else None
    known = _entries(content, "train")
    for at, name in enumerate(named if isinstance(named, list) else []):
        if isinstance(name, str) and name not in known:
            near = did_you_mean(name, known)
            message = f"no experiment {name!r}{near} in train; name some of {list(known)}, or set `evaluate.tsne: null`"
            yield ("evaluate", "tsne", "experiments", at), message


def _entries(content: Mapping[str, Any], verb: str) -> dict[str, Any]:
    section = content.get(verb)
    return {str(name): entry for name, entry in section.items()} if isinstance(section, dict) else {}


def _features(entry: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    features = entry.get("features") if isinstance(entry, dict) else None
    if isinstance(features, str):
        yield ("features",), features
    elif isinstance(features, list):
        yield from ((("features", at), each) for at, each in enumerate(features) if isinstance(each, str))


def _repeated_names(content: Mapping[str, Any]) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for verb in ("embed", "reduce", "fuse"):
        for name in _entries(content, verb):
            if name in seen:
                yield (verb, name), f"the name {name!r} is taken in {seen[name]}; features are named once, rename one"
            seen.setdefault(name, verb)


def _unknown_fields(content: Mapping[str, Any]) -> Iterator[Found]:
    known = _declared_fields(content.get("prepare"))
    for verb in ("fit", "embed"):
        for name, entry in _entries(content, verb).items():
            field = entry.get("field") if isinstance(entry, dict) else None
            if known and isinstance(field, str) and field not in known:
                near = did_you_mean(field, known)
                yield (verb, name, "field"), f"no field {field!r}{near}; `prepare` gives {sorted(known)}"
            if known and IMAGE not in known and _reads_pairs(entry):
                message = f"encoder {entry['encoder']!r} reads the field 'image' too; `prepare` gives {sorted(known)}"
                yield (verb, name, "encoder"), message


def _reads_pairs(entry: Any) -> bool:
    name = entry.get("encoder") if isinstance(entry, dict) else None
    return isinstance(name, str) and name in ENCODERS and ENCODERS[name].kind == "pair"


def _wrong_fits(content: Mapping[str, Any]) -> Iterator[Found]:
    """Find `embed` entries whose `fit` names no entry of that section, or one that fits another encoder."""
    fits = _entries(content, "fit")
    for name, entry in _entries(content, "embed").items():
        wanted = entry.get("fit") if isinstance(entry, dict) else None
        if not isinstance(wanted, str):
            continue
        if wanted not in fits:
            near = did_you_mean(wanted, fits)
            yield ("embed", name, "fit"), f"no entry {wanted!r}{near} in fit; there are {list(fits)}"
            continue
        fitted = fits[wanted].get("encoder") if isinstance(fits[wanted], dict) else None
        if isinstance(fitted, str) and fitted != entry.get("encoder"):
            message = f"expected a fitted {entry.get('encoder')!r}; found {wanted!r}, which is a {fitted!r}"
            yield ("embed", name, "fit"), f"{message}; name another entry of fit"


def _lacking_arrays(content: Mapping[str, Any]) -> Iterator[Found]:
    """Find inputs of fusions that read tokens, maps or regions, of entries that will have vectors alone."""
    for verb in ("fuse", "train"):
        for name, entry in _entries(content, verb).items():
            fusion = entry.get("fusion") if isinstance(entry, dict) else None
            row, given = FUSIONS.get(fusion) if isinstance(fusion, str) else None, [*_features(entry)]
            if row is None or not given or count_mistakes(row, len(given)):
                continue
            for position, arrays in row.needs.items():
                step, wanted = given[position]
                reason = _lacking(content, wanted, arrays)
                if reason:
                    yield (verb, name, *step), f"fusion {fusion!r} reads {' or '.join(arrays)} of this input; {reason}"


def _lacking(content: Mapping[str, Any], wanted: str, arrays: tuple[str, ...]) -> str | None:
    """Say why an entry will have none of the arrays; None when it has one, or is no entry at all."""
    embed = _entries(content, "embed")
    if wanted not in embed:
        verb = next((each for each in ("reduce", "fuse") if wanted in _entries(content, each)), None)
        remedy = f"name an entry of embed with `{arrays[0]}: true`"
        return verb and f"found {wanted!r} of {verb}, which has vectors alone; {remedy}"
    entry = embed[wanted] if isinstance(embed[wanted], dict) else {}
    encoder = entry.get("encoder")
    if not isinstance(encoder, str) or encoder not in ENCODERS:
        return None  # which is told at its own key
    if any(entry.get(each, (encoder, each) in _BY_DEFAULT) for each in arrays):
        return None
    able = [each for each in arrays if each in ENCODERS[encoder].options]
    if able:
        return f"found {wanted!r} without; give it `{able[0]}: true` in embed"
    return f"found {wanted!r}, whose encoder {encoder!r} has vectors alone; take another encoder or fusion"


def _declared_fields(prepare: Any) -> set[str]:
    """Return the fields that the source will give, or nothing when that cannot be told."""
    if not isinstance(prepare, dict):
        return set()
    if prepare.get("source") == "scenes":
        return {"caption", "image"}
    table = prepare.get("table")
    if not isinstance(table, dict):
        return set()
    texts = table.get("texts")
    fields = {str(each) for each in texts} if isinstance(texts, dict) else set()
    return fields | ({"caption"} if table.get("text") else set()) | ({"image"} if table.get("image") else set())
