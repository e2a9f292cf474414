"""`diptych store explain`: which vectors the store holds for an item or a key, and why a wanted one is missing."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from pipeline import paths
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from stages.embed.params import EmbedParams
from stages.models.catalog import did_you_mean
from store import FeatureStore, Fingerprint, Holding, holdings, not_searched, parse_key
from store.errors import InputError
from store.files.reading import printable


@dataclass(frozen=True)
class Explanation:
    """What the store has for one wanted vector.

    Attributes
    ----------
    wanted : str
        The entry of params.yaml, or the key.
    verdict : str
        One line: a hit and where, or a miss and why.
    details : list of str
        The provenance of a hit; for a miss the fields in which each stored fingerprint differs.
    """

    wanted: str
    verdict: str
    details: list[str]


def explain(asked: str, params: Params, settings: Settings) -> list[Explanation]:
    """Explain an item of the manifest by its id, or a key of 64 hexadecimal digits.

    Raises
    ------
    InputError
        When it is neither.
    """
    store = settings.feature_store(params.store.format)
    if not store.exists():
        raise InputError(
            f"expected a feature store at {store.address}; found none; correct DIPTYCH_STORE or local.toml."
        )
    key = parse_key(asked)
    if key is not None:
        return [_of_key(asked, holdings(store, key))]
    return [_of_entry(name, asked, params, store) for name in params.embed]


def _of_key(asked: str, found: list[Holding]) -> Explanation:
    verdict = f"{len(found)} encoders have a vector for it" if found else "no encoder has a vector for it"
    return Explanation(asked, verdict, [_place(each) for each in found])


def _of_entry(name: str, item: str, params: Params, store: FeatureStore) -> Explanation:
    from stages.embed.params import encoder_and_fingerprint

    entry = params.embed[name]
    if not paths.is_fitted(entry.fit):
        return Explanation(name, f"its encoder is not fitted yet: run `dvc repro fit@{entry.fit}`", [])
    _, fingerprint = encoder_and_fingerprint(entry, paths.fitted(entry.fit))
    key, reads = _key_of(item, entry)
    if key is None:
        return Explanation(name, f"the item has no {reads}: nothing is looked up", [])
    found = {each.fingerprint.digest: each for each in holdings(store, key)}
    hit = found.pop(fingerprint.digest, None)
    if hit is not None:
        return Explanation(name, f"hit: key {key.hex()}", [_place(hit)])
    same = [each for each in found.values() if each.fingerprint.encoder == fingerprint.encoder]
    if not same:
        return Explanation(
            name, f"miss: no {fingerprint.encoder} vector was found for key {key.hex()}", not_searched(store)
        )
    reason = f"miss: key {key.hex()} was encoded by another {fingerprint.encoder}"
    return Explanation(name, reason, [line for each in same for line in _differences(fingerprint, each)])


def _key_of(item: str, entry: EmbedParams) -> tuple[bytes | None, str]:
    """Return the key of an item, None where it has none, and what is read of it."""
    from stages.models.encoders.inputs import Inputs
    from store.items.manifest import Manifest

    manifest = Manifest.open(paths.MANIFEST)
    ids = manifest.ids()
    if item not in ids:
        known = _rejected(item) or did_you_mean(item, ids)
        raise InputError(f"expected an id of the manifest or a key of 64 hexadecimal digits; found {item!r}{known}")
    inputs = Inputs.of(manifest, entry.row.kind, entry.field)
    keys, present = inputs.keys()
    row = ids.index(item)
    return (keys[row].tobytes() if present[row] else None), inputs.name


def _rejected(item: str) -> str:
    """Say why `prepare` left an item out; "" when it did not."""
    try:
        with paths.REJECTS.open(encoding="utf-8", newline="") as stream:
            row = next((each for each in csv.DictReader(stream) if each["id"] == item), None)
    except FileNotFoundError:
        return ""
    return (
        "" if row is None else printable(f", which prepare rejected: {row['reason']} ({row['where']}) {row['detail']}")
    )


def _place(found: Holding) -> str:
    origin = ", ".join(f"{key} {value}" for key, value in sorted(found.provenance.items()))
    return f"{found.fingerprint.folder}: row {found.row} of {found.segment} ({printable(origin) or 'no provenance'})"


def _differences(wanted: Fingerprint, found: Holding) -> list[str]:
    differing = wanted.differences(found.fingerprint)
    return [_place(found), *(f"  {line}  (wanted != stored)" for line in differing)]
