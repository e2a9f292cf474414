"""What each library makes of the same numbers: two processors whose answers differ here round otherwise.

`python -m tests.processors.probe` prints a digest for each library, as JSON. Run under the variables of a combination
it tells which libraries these reach, so that a variable which a new version no longer reads is not taken for a test.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.processors.table import REORDERED

ROOT = Path(__file__).resolve().parents[2]


class NotRunnableError(Exception):
    """This processor lacks instructions that were asked for."""


def probed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of each library in a process with these variables.

    Raises
    ------
    NotRunnableError
        When the process was killed for an instruction that is not there.
    RuntimeError
        When it failed otherwise.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.processors.probe"]
    done = subprocess.run(command, cwd=ROOT, env=dict(variables), capture_output=True, text=True, check=False)
    if done.returncode == -4:  # SIGILL
        raise NotRunnableError
    if done.returncode:
        raise RuntimeError(f"expected digests of libraries; found exit code {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _torch() -> Any:
    import torch

    if REORDERED in os.environ:
        importlib.import_module("tests.processors.reordered")
    return torch


def _aten() -> Any:
    tensor = _torch().from_numpy(_numbers(64, 300))
    return [tensor.softmax(1), _torch().nn.functional.layer_norm(tensor, (300,)), tensor.sum(0)]


def _mkl() -> Any:
    torch = _torch()
    left, right = torch.from_numpy(_numbers(64, 300)), torch.from_numpy(_numbers(40, 300))
    return [left @ right.T, torch.nn.functional.linear(left, right), left.double() @ right.double().T]


def _onednn() -> Any:
    torch = _torch()
    return [
        torch.nn.functional.conv2d(*(torch.from_numpy(_numbers(*shape)) for shape in ((2, 3, 40, 40), (8, 3, 5, 5))))
    ]


def _openvino() -> Any:
    from stages.models.encoders.protocol import Placement
    from stages.models.encoders.running.engines import OpenVinoNetwork

    torch, items = _torch(), _numbers(4, 3, 40, 40)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.Flatten(), torch.nn.Linear(8 * 36 * 36, 20))
    for weight in layers.parameters():  # torch draws others under other instructions
        weight.data = torch.from_numpy(_numbers(*weight.shape)) / 30
    return OpenVinoNetwork(layers, [items], Placement("cpu", "openvino"))(items)


def _openblas() -> Any:
    import scipy.linalg

    rows = _numbers(64, 300)
    return [rows @ _numbers(300, 40), scipy.linalg.svd(rows.astype(np.float64))[1]]


def _numpy() -> Any:
    return [np.exp(_numbers(3000)), np.tanh(_numbers(3000))]


def _libm() -> Any:
    return [np.array([(math.exp(each), math.sin(each), abs(each) ** 1.7) for each in _numbers(3000).tolist()])]


def _threads() -> Any:
    torch = _torch()
    large = _numbers(1 << 21)
    return [torch.from_numpy(large).sum(), large.reshape(2048, 1024) @ _numbers(1024, 300)]


LIBRARIES: dict[str, Callable[[], Any]] = {
    "aten": _aten, "mkl": _mkl, "onednn": _onednn, "openvino": _openvino, "openblas": _openblas, "numpy": _numpy,
    "libm": _libm, "threads": _threads,
}  # fmt: skip


def _digest(arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    print(json.dumps({name: _digest(library()) for name, library in LIBRARIES.items()}))  # noqa: T201
