"""What is noted of how rows were made, beside them and outside their identity; `commit` puts it into each segment."""

from __future__ import annotations

import platform
import socket
from importlib.metadata import PackageNotFoundError, version

from stages.encoders.protocol import Runtime

_PACKAGES = {"opencv": "opencv-python-headless"}


def provenance_of(runtime: Runtime) -> dict[str, str]:
    """Describe this machine: equal runs on it give equal segments, so no time, path, process or user is in it.

    Parameters
    ----------
    runtime : Runtime
        What computes.
    """
    return {
        "compute_dtype": runtime.compute_dtype,
        "device": runtime.device.partition(":")[0],
        "device_name": _device_name(runtime.device),
        "diptych": _version("diptych"),
        "engine": runtime.engine,
        "engine_version": _version(_PACKAGES.get(runtime.engine, runtime.engine)),
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
