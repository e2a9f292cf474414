"""What the git-tracked cards say of matrices and fitted encoders: `wire` hands it to DVC, `verbs` to the stages."""

from __future__ import annotations

import json

from pipeline import paths
from stages.errors import InputError


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
    try:
        digest = json.loads(card.read_text("utf-8"))["digest"]
    except FileNotFoundError:
        raise InputError(f"expected {card}; found no file; run `dvc repro`, which writes it first.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{card}: expected JSON with a digest; found {error!r}; run `git checkout {card}`.") from None
    return str(digest)


def stated_digests(matrices: paths.MatrixPaths, features: list[str]) -> tuple[str, ...]:
    """Return the digests of several features' matrices.

    Raises
    ------
    InputError
        When there is no such card, or it states none.
    """
    return tuple(stated_digest(matrices, feature) for feature in features)
