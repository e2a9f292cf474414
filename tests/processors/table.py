"""The combinations of one place: which variables stand for which other processor, and which tests they are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

THREADS = "OMP_NUM_THREADS"
REORDERED = "DIPTYCH_TEST_REORDERED"
"""Read by tests/conftest.py: torch then adds up in an order of its own, see `reordered`."""


def _numpy_baseline() -> str:
    """Return what numpy's own loops must leave aside to run as on the oldest processor that numpy supports."""
    return " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


ATEN = {"ATEN_CPU_CAPABILITY": "default"}
MKL = {"MKL_CBWR": "COMPATIBLE"}
ONEDNN = {"ONEDNN_MAX_CPU_ISA": "AVX"}  # not SSE41: OpenVINO, which reads it too, then refuses layer normalisation
OPENBLAS = {"OPENBLAS_CORETYPE": "Nehalem"}
NUMPY = {"NPY_DISABLE_CPU_FEATURES": _numpy_baseline()}
LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}


@dataclass(frozen=True)
class Combination:
    """One other processor.

    Attributes
    ----------
    name : str
    variables : mapping
        What is set; everything else is as in `make test`, which gives each process one thread.
    moves : tuple of str
        The libraries of `probe` that are meant to round otherwise. Where none of them does, this processor is that one
        already, or cannot be it: the combination is skipped.
    core : bool
        Whether `make test` runs it too, on the files of `CORE`.
    """

    name: str
    variables: Mapping[str, str]
    moves: tuple[str, ...]
    core: bool = field(default=False, kw_only=True)


COMBINATIONS = (
    Combination("2 threads", {THREADS: "2"}, ("threads",)),
    Combination("3 threads", {THREADS: "3"}, ("threads",)),
    Combination("other order of sums", {REORDERED: "1"}, ("mkl",), core=True),
    Combination("aten without vectors", ATEN, ("aten",)),
    Combination("aten avx2", {"ATEN_CPU_CAPABILITY": "avx2"}, ("aten",)),
    Combination("aten avx512", {"ATEN_CPU_CAPABILITY": "avx512"}, ("aten",)),
    Combination("mkl of any vendor", MKL, ("mkl",)),
    Combination("mkl avx2", {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, ("mkl",)),
    Combination("mkl sse", {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}, ("mkl",)),
    Combination("onednn and openvino avx", ONEDNN, ("onednn", "openvino")),
    Combination("onednn and openvino avx2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, ("onednn", "openvino")),
    Combination("openblas, numpy and libm of 2008", {**OPENBLAS, **NUMPY, **LIBM}, ("openblas", "numpy", "libm")),
    Combination("all of them old", {**ATEN, **MKL, **ONEDNN, **OPENBLAS, **NUMPY, **LIBM}, ("aten", "mkl"), core=True),
)  # fmt: skip

VARIABLES = frozenset(name for each in COMBINATIONS for name in each.variables)
