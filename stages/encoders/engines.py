"""Run a network on arrays: torch anywhere, OpenVINO on processors; both keep the numeric contract that is asked for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.encoders.protocol import OutOfMemory, Placement, Runtime

Array = NDArray[Any]


class Network(Protocol):
    """A network that is ready to run.

    Attributes
    ----------
    runtime : Runtime
    """

    runtime: Runtime

    def __call__(self, *inputs: Array) -> list[NDArray[np.float32]]:
        """Return the outputs, as float32, for one batch of inputs.

        Raises
        ------
        OutOfMemory
            When the device has no room for the batch.
        """


def compile_network(module: Any, example: Sequence[Array], placement: Placement) -> Network:
    """Make a network ready to run.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the processor, in float32. Takes tensors of any batch size, and returns a tuple of them.
    example : sequence of ndarray
        Inputs of a few items, from which OpenVINO learns the network's steps.
    placement : Placement
    """
    if placement.engine == "openvino":
        return OpenVinoNetwork(module, example, placement)
    return TorchNetwork(module, placement)


class TorchNetwork:
    """A torch module on a device; under the contract `fast` in half precision where the hardware computes in it."""

    def __init__(self, module: Any, placement: Placement) -> None:
        import torch

        self._torch = torch
        dtype = torch.float32
        if placement.precision == "fast" and _has_bfloat16(placement.device):
            dtype = torch.bfloat16
        self._module = module.eval().to(device=placement.device, dtype=dtype, memory_format=torch.channels_last)
        self._device, self._dtype = torch.device(placement.device), dtype
        self.runtime = Runtime("torch", placement.device, str(dtype).removeprefix("torch."))

    def __call__(self, *inputs: Array) -> list[NDArray[np.float32]]:
        """Return the outputs, as float32, for one batch of inputs."""
        torch = self._torch
        try:
            # Full float32: in TF32, the default of convolutions on a GPU, ten bits of mantissa would be left.
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                outputs = self._module(*(self._moved(array) for array in inputs))
                return [each.to(torch.float32).cpu().numpy() for each in outputs]
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(str(error).partition(".")[0]) from error

    def _moved(self, array: Array) -> Any:
        tensor = self._torch.from_numpy(array)
        if self._device.type == "cpu":
            return tensor
        # Only from pinned memory does a copy run beside the computing.
        return tensor.pin_memory().to(self._device, non_blocking=True)


def _has_bfloat16(device: str) -> bool:
    """Tell whether bfloat16 is fast on a device; a processor without instructions for it can be a hundred times slower."""
    import torch

    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


class OpenVinoNetwork:
    """A network compiled by OpenVINO for this processor; under the contract `fast` in bfloat16 where it has that."""

    def __init__(self, module: Any, example: Sequence[Array], placement: Placement) -> None:
        openvino = _openvino()
        core = openvino.Core()
        has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        dtype = "bf16" if placement.precision == "fast" and has_bfloat16 else "f32"
        model = _converted(openvino, module, example)
        settings = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "LATENCY"}
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.runtime = Runtime("openvino", "cpu", {"bf16": "bfloat16", "f32": "float32"}[dtype])

    def __call__(self, *inputs: Array) -> list[NDArray[np.float32]]:
        """Return the outputs, as float32, for one batch of inputs."""
        outputs = self._request.infer(list(inputs), share_inputs=True)
        return [np.array(value, dtype=np.float32) for value in outputs.values()]


def _openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report to its makers, unasked, from the import on."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] (None refuses the import)
    import openvino

    return openvino


def _converted(openvino: Any, module: Any, example: Sequence[Array]) -> Any:
    import torch

    tensors = tuple(torch.from_numpy(array) for array in example)
    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing, which OpenVINO reads a network by, warns of its own age and of every Python condition on the way.
        warnings.simplefilter("ignore")
        return openvino.convert_model(module.eval(), example_input=tensors)
