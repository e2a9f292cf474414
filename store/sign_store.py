"""Signs what is in a store already: segments written before there were keys, or by somebody we vouch for."""

from __future__ import annotations

from dataclasses import dataclass

from store.encoder_log import EncoderLog
from store.errors import SigningError
from store.feature_store import FeatureStore
from store.maintenance import segment_problem


@dataclass(frozen=True)
class SignReport:
    """What was done for one encoder.

    Attributes
    ----------
    encoder : str
    signed, kept : int
        Segments signed now, and those that we had signed before.
    unsound : tuple of (str, str)
        Segments that were not signed: name, and what is wrong.
    """

    encoder: str
    signed: int
    kept: int
    unsound: tuple[tuple[str, str], ...]


def sign_sound(store: FeatureStore, encoder: str | None = None) -> list[SignReport]:
    """Read every segment that we did not sign yet, down to its rows, and sign the sound ones.

    Sound means undamaged, not right: a wrong vector that was stored with care is sound too. Sign what you know the
    origin of.

    Parameters
    ----------
    store : FeatureStore
        With a signer.
    encoder : str, optional
        Only encoders of this name; all of them when left out.

    Raises
    ------
    SigningError
        When the store has no signer, or lookups would not see what it signs.
    """
    if store.signing.signer is None:
        raise SigningError(
            "expected a signing key, found none; set DIPTYCH_SIGNING_KEY or `signing_key` in local.toml, and make one "
            "with `diptych store keygen FILE`"
        )
    store.signing.check_writer()
    return [_sign_log(log) for log in store.logs() if encoder in (None, log.fingerprint.encoder)]


def _sign_log(log: EncoderLog) -> SignReport:
    names = [entry.name for _, entry in log.files.all_entries()]
    ours = log.files.signatures.ours(names)
    signed, unsound = 0, []
    for name in (name for name in names if name not in ours):
        try:
            problem = segment_problem(log, name, rows=True)
        except FileNotFoundError:
            continue  # never sign what we did not read: it might come back
        if problem is not None:
            unsound.append((name, problem.what))
        else:
            log.files.signatures.sign(name)
            signed += 1
    return SignReport(log.fingerprint.encoder, signed, len(ours), tuple(unsound))
