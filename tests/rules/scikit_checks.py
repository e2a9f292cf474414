"""scikit-learn's own checks of estimators, with the one tolerance that no float32 can keep put right.

`check_methods_sample_order_invariance` shuffles rows and allows a relative 1e-7 whatever the type: less than the last
bit of a float32, which a library rounds by the place of a row in its batch. (Where scikit-learn compares float32
elsewhere, it allows 1e-4.) Here float32 results are held to the bound of `bounds`, everything else to what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import SkipTest
from unittest.mock import patch

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import estimator_checks

from tests.rules.bounds import assert_same_sums

TERMS = 128
"""What the deepest estimator that is checked adds up for one number: three layers of at most 16 + 1, an LSTM of 8 over
a word, and the machine behind them, of at most 20 rows."""

_OWN = estimator_checks.assert_allclose_dense_sparse
Check = Callable[[Any], None]


def name_of(check: Check) -> str:
    return check.func.__name__ if isinstance(check, partial) else getattr(check, "__name__", "")


def hold(estimator: BaseEstimator, check: Check) -> None:
    """Hold an estimator to a check that `parametrize_with_checks` gave."""
    if name_of(check) == "check_methods_sample_order_invariance":
        with patch.object(estimator_checks, "assert_allclose_dense_sparse", _close):
            check(estimator)
    else:
        check(estimator)


def failed(estimator: BaseEstimator) -> dict[str, str]:
    """Hold an estimator to all checks; return those that it failed, with what they said."""
    found, count = {}, 0
    for each, check in estimator_checks.estimator_checks_generator(estimator):
        count += 1
        try:
            hold(each, check)
        except SkipTest:
            pass
        except Exception as error:  # noqa: BLE001 (whatever a check raises is its verdict)
            found[name_of(check)] = repr(error)
    assert count > 30
    return found


def _close(found: Any, expected: Any, rtol: float = 1e-7, atol: float = 1e-9, err_msg: str = "") -> None:
    if all(getattr(each, "dtype", None) == np.float32 for each in (found, expected)):
        assert_same_sums(found, expected, TERMS)
    else:
        _OWN(found, expected, rtol=rtol, atol=atol, err_msg=err_msg)
