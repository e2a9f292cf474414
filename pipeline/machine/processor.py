"""Which instructions of the processor decide the speed of encoders, and what computes with them; for `doctor`."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# From the slowest to the fastest way of multiplying matrices. Half precision without the last three is emulated, which
# may take a hundred times as long as full precision.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16")


def instructions() -> set[str] | None:
    """Return those of `INSTRUCTIONS` that this processor has; None where the system does not say."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text("utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return None if flags is None else set(INSTRUCTIONS) & set(flags[1].split())


def told_instructions() -> str:
    """Say in one line which of `INSTRUCTIONS` are there and which lack."""
    found = instructions()
    if found is None:
        return "unknown: this system does not tell"
    there = [name for name in INSTRUCTIONS if name in found]
    lacking = [name for name in INSTRUCTIONS if name not in found]
    return ", ".join(there or ["none"]) + (f"; without {', '.join(lacking)}" if lacking else "")


def told_openvino() -> str:
    """Say which OpenVINO there is, by importing it: a package that is there may still not load."""
    try:
        import_module("openvino")
        return version("openvino")
    except ModuleNotFoundError:
        return "not installed; encoders on the processor use torch"
    except Exception as error:  # noqa: BLE001 (a library built for another machine fails in its own way)
        return f"installed and not importable ({type(error).__name__}: {error}); encoders on the processor use torch"


def told_threads() -> str:
    """Say how many threads torch computes with, and what may set that."""
    import torch  # slow to import, and only asked for here

    return f"{torch.get_num_threads()} threads (OMP_NUM_THREADS sets it)"
