"""What one verb's entry hands to another's: cards, digests for DVC, the models of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.params.sections import Params
from stages.evaluate.trained.missing import TrainedInputs
from store.errors import InputError
from store.files.outputs import write_json
from store.items.records import IMAGE
from store.results.cards import EntryCard


def stated_digest(matrices: paths.MatrixPaths, feature: str) -> str:
    """Return the digest of a feature's matrix as the card states it that its producer wrote beside it.

    Raises
    ------
    InputError
        When there is no such card, or it states none.
    """
    return card_digest(matrices.producer_of[feature], feature)


def card_digest(verb: str, name: str) -> str:
    """Return the digest that the card of one entry states.

    Raises
    ------
    InputError
        When there is no such card, or it states none.
    """
    card = paths.card(verb, name)
    digest = EntryCard.read(card).made_of.get("digest")
    if not isinstance(digest, str):
        raise InputError(f"expected a digest in {card}, found {digest!r}; run `dvc repro`, which writes it again")
    return digest


def stated_digests(matrices: paths.MatrixPaths, features: list[str]) -> tuple[str, ...]:
    """Return the digests of several features' matrices.

    Raises
    ------
    InputError
        When there is no such card, or it states none.
    """
    return tuple(stated_digest(matrices, feature) for feature in features)


WIRED = ("embed", "fuse", "train", "retrieve")


def wire(verb: str, params: Params) -> dict[str, dict[str, str]]:
    """Write and return {entry: {name of what it reads: digest}}; a frozen encoder reads nothing.

    Raises
    ------
    InputError
        When nothing is wired to the verb, or something that it reads is not there yet.
    """
    if verb not in WIRED:
        raise InputError(f"wire: expected one of {list(WIRED)}; found {verb!r}.")
    entries: Mapping[str, Any] = getattr(params, verb)
    wired = {name: _reads(verb, entry, params) for name, entry in entries.items()}
    write_json(paths.wired(verb), wired)
    return wired


def _reads(verb: str, entry: Any, params: Params) -> dict[str, str]:
    if verb == "embed":
        return {} if entry.fit is None else {entry.fit: card_digest("fit", entry.fit)}
    return {each: stated_digest(params.matrices, each) for each in features_of(entry)}


def features_of(entry: object) -> list[str]:
    """Return the feature names that an entry of any verb reads."""
    features = getattr(entry, "features", [])
    return [features] if isinstance(features, str) else list(features)


def trained_inputs(params: Params, name: str) -> TrainedInputs:
    """Return the models of an experiment, its matrices and the fields that each of them encodes.

    Raises
    ------
    InputError
        When a matrix has no card.
    """
    matrices, features = params.matrices, params.train[name].features
    return TrainedInputs(
        paths.model("train", name),
        tuple(features),
        matrices.features(features),
        stated_digests(matrices, features),
        tuple(encoded_fields(params, feature) for feature in features),
    )


def encoded_fields(params: Params, feature: str) -> tuple[str, ...]:
    """Return the fields of a matrix; none for one of `fuse`, in which they can no longer be told apart."""
    source = params.reduce[feature].features if feature in params.reduce else feature
    if source not in params.embed:
        return ()
    entry = params.embed[source]
    return (entry.field, IMAGE) if entry.row.kind == "pair" else (entry.field,)


def refuse_other_fit(fitted: Path, encoder: str, *, allow_split_mismatch: bool) -> None:
    """Refuse an encoder other than the one of its card, or fitted on other train rows: it may know what is tested.

    Raises
    ------
    InputError
        With the command that mends it.
    """
    from stages.models.encoders.artefact import Artefact
    from store.items.manifest import Manifest
    from store.items.split import read_split

    artefact, stated = Artefact.open(fitted, encoder, whole=False), card_digest("fit", fitted.name)
    if artefact.digest != stated:
        raise InputError(
            f"{fitted}: expected the encoder of {paths.card('fit', fitted.name)} (digest {stated[:16]}); found another "
            f"({artefact.digest[:16]}); run `dvc checkout`, or `dvc repro --force fit@{fitted.name}`."
        )
    ids = Manifest.open(paths.MANIFEST).ids()
    artefact.refuse_other_split(ids, read_split(paths.PARTS, ids), allow=allow_split_mismatch)
