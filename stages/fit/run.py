"""Run `fit`: nothing to fit in this version, and said so rather than skipped."""

from __future__ import annotations

from stages.errors import InputError
from stages.fit.params import FitParams


def run(params: FitParams) -> None:
    """Refuse: no fitted encoder is in the catalogue.

    Raises
    ------
    InputError
        Always.
    """
    raise InputError(f"fit: expected a fitted encoder of the catalogue; found {params.encoder!r}; there are none yet.")
