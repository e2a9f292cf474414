"""Whether a fitted encoder is the one of its card and knows nothing that it must not; `embed` asks before it runs."""

from __future__ import annotations

from pathlib import Path

from pipeline import paths
from pipeline.cards import card_digest
from stages.errors import InputError


def refuse_other_fit(fitted: Path, encoder: str, *, allow_split_mismatch: bool) -> None:
    """Refuse an encoder other than the one of its card, or fitted on other train rows: it may know what is tested.

    Raises
    ------
    InputError
        With the command that mends it.
    """
    from stages.encoders.artefact import Artefact
    from stages.items import Manifest
    from stages.parts import read_split

    artefact, stated = Artefact.open(fitted, encoder, whole=False), card_digest("fit", fitted.name)
    if artefact.digest != stated:
        raise InputError(
            f"{fitted}: expected the encoder of {paths.card('fit', fitted.name)} (digest {stated[:16]}); found another "
            f"({artefact.digest[:16]}); run `dvc checkout`, or `dvc repro --force fit@{fitted.name}`."
        )
    ids = Manifest.open(paths.MANIFEST).ids()
    artefact.refuse_other_split(ids, read_split(paths.PARTS, ids), allow=allow_split_mismatch)
