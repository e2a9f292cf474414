"""Makes torch add up its matrix products in another order, as a processor that nobody has: importing this is enough.

Of each product the summed dimension is permuted: in one way for each shape and layout, in another for the last third of
the rows, as kernels take the rest of a tile. Each sum is one of the same products, so whatever is true of every
processor stays true: equal arrays of equal shapes and layouts give equal bits. What one vendor keeps to does not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("aten", "IMPL")
_NAMES = ("mm", "addmm", "bmm", "baddbmm")
_KERNELS = {name: torch.library.get_kernel(f"aten::{name}", "CPU") for name in _NAMES}


@lru_cache(maxsize=4096)
def _order(count: int, *laid_out: int) -> Tensor:
    generator = torch.Generator().manual_seed(crc32(repr((count, laid_out)).encode()))
    return torch.randperm(count, generator=generator)


def _product(call: Callable[[slice, Tensor, Tensor], Tensor], left: Tensor, right: Tensor) -> Tensor:
    """Call a kernel for two parts of the rows of `left` [..., M, K] by `right` [..., K, N], each in its own order."""
    rows, summed, rest = left.shape[-2], left.shape[-1], left.ndim - 2
    cut = rows - rows // 3
    # MKL takes other kernels for the columns of a wider array, and where rows do not begin at multiples of 16 bytes.
    laid_out = (
        *left.shape,
        right.shape[-1],
        *left.stride(),
        *right.stride(),
        left.data_ptr() % 16,
        right.data_ptr() % 16,
    )
    parts = [slice(0, cut), slice(cut, rows)] if cut < rows else [slice(0, rows)]
    found = []
    for part in parts:
        order = _order(summed, *laid_out, part.start)
        found.append(call(part, left[..., part, :].index_select(rest + 1, order), right.index_select(rest, order)))
    return torch.cat(found, dim=rest)


def _plain(name: str) -> Callable[..., Tensor]:
    def run(keys: Any, left: Tensor, right: Tensor) -> Tensor:
        return _product(lambda _, one, other: _KERNELS[name].call_boxed(keys, one, other), left, right)

    return run


def _added(name: str) -> Callable[..., Tensor]:
    def run(keys: Any, bias: Tensor, left: Tensor, right: Tensor, beta: Any = 1, alpha: Any = 1) -> Tensor:
        whole = bias.expand(*left.shape[:-1], right.shape[-1])

        def call(part: slice, one: Tensor, other: Tensor) -> Tensor:
            return _KERNELS[name].call_boxed(keys, whole[..., part, :], one, other, beta=beta, alpha=alpha)

        return _product(call, left, right)

    return run


for _name in _NAMES:
    _made = _plain(_name) if _name in ("mm", "bmm") else _added(_name)
    _LIBRARY.impl(_name, _made, "CPU", with_keyset=True, allow_override=True)
