"""`fit` has no fitted encoder yet, and says so instead of passing over the entry."""

from __future__ import annotations

import pytest

from stages.fit.params import FitParams


def test_an_entry_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"no fitted encoder 'w2v'.*section `embed`"):
        FitParams(encoder="w2v")
