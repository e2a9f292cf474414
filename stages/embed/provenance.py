"""What is noted of how rows were made, beside them and outside their identity; `commit` puts it into each segment."""

from __future__ import annotations

import platform
import socket
from importlib.metadata import PackageNotFoundError, version

from stages.encoders.protocol import Engine


def provenance_of(engine: Engine, device: str) -> dict[str, str]:
    """Describe this machine: equal runs on it give equal segments, so no time, path, process or user is in it.

    Parameters
    ----------
    engine : {"torch", "numpy"}
        The package that computes.
    device : str
        "cpu", "cuda" or "cuda:<n>".
    """
    return {
        "compute_dtype": "float32",
        "device": device.partition(":")[0],
        "device_name": _device_name(device),
        "diptych": _version("diptych"),
        "engine": engine,
        "engine_version": _version(engine),
        "host": socket.gethostname(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "not installed"


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch  # loaded already: the model is on that device

        return str(torch.cuda.get_device_name(device))
    return platform.machine()
