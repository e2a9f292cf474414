"""The one rule for raw text before any text encoder; its name is part of every text fingerprint."""

from __future__ import annotations

import unicodedata
from typing import Literal

TEXT_RULE: Literal["NFC"] = "NFC"
"""The one rule for raw text before any text encoder; its name is part of every text fingerprint."""


def normalise_text(text: str) -> str:
    """Return the text in Unicode normal form C; case, spaces and punctuation stay as they are."""
    return unicodedata.normalize(TEXT_RULE, text)
