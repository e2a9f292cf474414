"""The engines that run a network: half precision only where it keeps the contract, no room is told, nothing phones."""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.encoders.engines import NotConvertible, TorchNetwork, compile_network
from stages.encoders.protocol import OutOfMemory, Placement

ROOT = next(each for each in Path(__file__).resolve().parents if (each / "pyproject.toml").is_file())
ENGINES = ["torch", "openvino"]


class Plain(torch.nn.Module):
    """A linear map, which bfloat16 gives to three digits."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(64, 32, bias=False)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.layer(batch.to(self.layer.weight.dtype)).to(torch.float32),)


def batch(count: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)


def compiled(module: Any, engine: Any, precision: Any) -> Any:
    return compile_network(module.eval(), [batch(2)], Placement("cpu", engine, precision))


@pytest.mark.parametrize("engine", ENGINES)
def test_batches_of_any_size_and_outputs_that_stay(engine):
    network = compiled(Plain(), engine, "exact")
    first = network(batch(3))[0]
    kept = first.copy()
    assert network(batch(17, seed=1))[0].shape == (17, 32)
    assert network(batch(1, seed=2))[0].shape == (1, 32)
    np.testing.assert_array_equal(first, kept)


class Unconvertible(Plain):
    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.linalg.eigvalsh(batch[:, :4, None] @ batch[:, None, :4]),)


def test_what_openvino_cannot_convert_is_told_from_a_fault():
    with pytest.raises(NotConvertible, match="eigvalsh"):
        compiled(Unconvertible(), "openvino", "exact")


@pytest.mark.parametrize("module", [Plain, Unconvertible])
def test_warnings_are_still_seen_after_a_conversion(module):
    """openvino 2026.4.1: where convert_model() raises, it leaves the root logger at ERROR, with a filter more."""
    root = logging.getLogger()
    before = root.level, list(root.handlers), list(root.filters)
    with suppress(NotConvertible):
        compiled(module(), "openvino", "exact")
    assert (root.level, root.handlers, root.filters) == before
    assert logging.getLogger("stages.encoders").isEnabledFor(logging.WARNING)


def test_a_device_without_room_is_told_from_a_fault():
    class Large(Plain):
        def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if len(batch) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return super().forward(batch)

    network = TorchNetwork(Large(), Placement())
    with pytest.raises(OutOfMemory, match=r"^CUDA out of memory$"):
        network(batch(3))
    assert network(batch(2))[0].shape == (2, 32)


def test_a_process_makes_one_core_and_keeps_it():
    # A process with a second core of OpenVINO (2026.4.1) was killed by a later signal. Nothing of that is tried here.
    script = """
import numpy as np
import torch
from stages.encoders.engines import OpenVinoNetwork, _core, _openvino
from stages.encoders.protocol import Placement

openvino, made = _openvino(), []
class Counted(openvino.Core):
    def __init__(self, *given):
        super().__init__(*given)
        made.append(self)
openvino.Core = Counted
batch = np.ones((4, 64), np.float32)
networks = [OpenVinoNetwork(torch.nn.Linear(64, 32), [batch], Placement("cpu", "openvino")) for _ in range(3)]
assert all(network(batch)[0].shape == (4, 32) for network in networks)
(core,) = made
assert _core() is core
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]


def _makers_of_cores(source: str) -> list[str]:
    """Return what of a module makes a core, or lets go of the one that is kept."""
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [each for each in calls if re.search(r"\bCore\(|\bopenvino\.compile_model\(|_core\.cache_clear\(", each)]


def test_nobody_else_makes_a_core():
    sources = [path for name in ("pipeline", "stages", "store", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): _makers_of_cores(path.read_text("utf-8")) for path in sources}
    assert found.pop("stages/encoders/engines.py") == ["_openvino().Core()"]
    assert not any(found.values())


@pytest.mark.parametrize(
    "line", ["openvino.Core()", "ov.Core()", "openvino.compile_model(model)", "_core.cache_clear()"]
)
def test_a_second_maker_of_cores_is_found(line: str):
    assert _makers_of_cores(line)


def test_openvino_comes_without_its_telemetry(tmp_path: Path):
    package = tmp_path / "openvino_telemetry"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the telemetry was imported')")
    code = """
import sys
import numpy as np
import torch
from stages.encoders.engines import compile_network
from stages.encoders.protocol import Placement

class Module(torch.nn.Module):
    def forward(self, numbers):
        return (numbers * 2,)

items = np.ones((2, 3), np.float32)
network = compile_network(Module(), [items], Placement("cpu", "openvino"))
assert network(items)[0].tolist() == [[2.0] * 3] * 2
assert "openvino" in sys.modules
assert sys.modules.get("openvino_telemetry") is None
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
