"""What a computed number may differ by: the one place for the bounds that tests hold floating-point results to.

Equal bits are promised where they are true by construction: what is read back, copied or digested; and what one
program computes twice from arrays of equal shapes and layouts, with equal threads, on one machine. Everything else is
a sum whose order a library chooses: by the processor, the threads, the number of rows in a batch, the place of a row
in it, the width of the array that a matrix is cut from. Two orders of one sum give two roundings, and a test that asks
for equal bits there asks for one vendor's kernels.

Each product and each addition rounds by at most half a unit in the last place of what it gives. Of n products whose
absolute values sum up to `scale`, two orders are therefore at most ``2 n u scale`` apart (Higham, Accuracy and
Stability of Numerical Algorithms, sections 3.1 and 4.2), u being 2^-24 in float32 and 2^-53 in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike

UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
"""The most that one rounding changes a number by, as a share of it."""


def rounding(terms: int, scale: float = 1.0, dtype: DTypeLike = np.float32) -> float:
    """Return the most by which two orders of the same sums can differ.

    Parameters
    ----------
    terms : int
        How many numbers are added up on the way to a result: of layers behind each other, all of them together.
    scale : float
        What the absolute values of the terms sum up to; of layers behind each other, in the largest of them.
    dtype : float32 or float64
        Of the sums.
    """
    return 2 * terms * UNIT[np.dtype(dtype)] * scale


def terms_of(module: torch.nn.Module, steps: int = 1) -> int:
    """Return how many numbers are added up at most on the way through a network: what one unit of each layer reads.

    Parameters
    ----------
    module : torch module
    steps : int
        How often a way leads through the same layer, as it does for each word of a text.
    """
    return steps * sum(weight[0].numel() + 1 for weight in module.parameters() if weight.ndim > 1)


def assert_same_sums(found: Any, expected: Any, terms: int, scale: float | None = None) -> None:
    """Hold results to others that added the same numbers up in another order.

    Parameters
    ----------
    found, expected : array or tensor of one dtype, float32 or float64
    terms : int
        As in `rounding`.
    scale : float, optional
        As in `rounding`; None takes the largest magnitude of what was expected, at least 1: right where the numbers on
        the way are of the size of the results, as in networks whose inputs and activations are of the order of 1.
    """
    one, other = (_array(each) for each in (found, expected))
    assert one.dtype == other.dtype, f"expected two arrays of one dtype; found {one.dtype} and {other.dtype}"
    size = max(1.0, float(np.abs(other).max(initial=0))) if scale is None else scale
    np.testing.assert_allclose(one, other, rtol=0, atol=rounding(terms, size, one.dtype))


def _array(numbers: ArrayLike | torch.Tensor) -> np.ndarray:
    return numbers.detach().numpy() if isinstance(numbers, torch.Tensor) else np.asarray(numbers)
