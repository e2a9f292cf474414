"""Where and by what networks run: the device and engine that are asked for, never a guess; torch and OpenVINO."""

from __future__ import annotations

import copy
import functools
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.protocol import Encoder, OutOfMemory, Placement, Precision, Runtime
from store.errors import InputError

Engine = Literal["auto", "torch", "openvino"]


def resolve_device(wanted: str) -> str:
    """Return the torch device for "auto", "cpu", "cuda" or "cuda:<n>".

    Raises
    ------
    InputError
        When the word is unknown or the device is not on this machine: an explicit wish never falls back.
    """
    import torch  # slow to import, and only the stages that compute need it

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", wanted):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:<n>; found {wanted!r}; set DIPTYCH_DEVICE to one.")
    index = int(wanted.partition(":")[2] or 0)
    if wanted != "cpu" and torch.cuda.device_count() <= index:
        raise InputError(
            f"device: expected {wanted} on this machine; found {torch.cuda.device_count()} CUDA devices; "
            "set DIPTYCH_DEVICE=auto or cpu."
        )
    return wanted


def place(encoder: Encoder, device: str, engine: Engine, precision: Precision) -> Placement:
    """Return where and how an encoder shall compute; one without a network needs no choice, and no import of torch.

    Raises
    ------
    InputError
        As `resolve_placement` does.
    """
    return resolve_placement(device, engine, precision) if encoder.runs_network else Placement(precision=precision)


def resolve_placement(device: str, engine: Engine, precision: Precision) -> Placement:
    """Return where and how networks shall compute on this machine.

    `auto` takes torch on a GPU and OpenVINO on a processor, which runs the same networks there two to five times as
    fast; torch where OpenVINO is not installed, as on platforms that it has no package for. Either keeps the numeric
    contract `precision`, so rows of both may lie side by side; each segment's provenance says which it was.

    Raises
    ------
    InputError
        When a word is unknown, the device or the engine is not here, or they do not go together.
    """
    if engine not in get_args(Engine):
        raise InputError(
            f"engine: expected one of {', '.join(get_args(Engine))}; found {engine!r}; set DIPTYCH_ENGINE to one."
        )
    there = resolve_device(device)
    installed = find_spec("openvino") is not None
    if engine == "auto":
        return Placement(there, "openvino" if there == "cpu" and installed else "torch", precision)
    if engine == "openvino" and not installed:
        raise InputError(
            "engine: expected the package openvino; found none; install it with pip or set DIPTYCH_ENGINE=torch."
        )
    if engine == "openvino" and there != "cpu":
        raise InputError(
            f"engine: expected the device cpu with openvino; found {there}; set DIPTYCH_DEVICE=cpu or "
            "DIPTYCH_ENGINE=torch."
        )
    return Placement(there, engine, precision, by_name=True)


Array = NDArray[Any]


class Network(Protocol):
    """A network that is ready to run.

    Attributes
    ----------
    runtime : Runtime
    concurrency : int
        Batches that it computes at once, when as many threads call it.
    """

    runtime: Runtime
    concurrency: int

    def __call__(self, *inputs: Array) -> list[NDArray[np.float32]]:
        """Return the outputs, as float32, for one batch of inputs.

        Raises
        ------
        OutOfMemory
            When the device has no room for the batch.
        """


def compile_network(module: Any, example: Sequence[Array], placement: Placement) -> Network:
    """Make a network ready to run; whether it then computes what torch does, `held` finds out.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the processor, in float32. Takes tensors of any batch size, and returns a tuple of them.
    example : sequence of ndarray
        Inputs of a few items, from which OpenVINO learns the network's steps.
    placement : Placement

    Raises
    ------
    NotConvertible
        When the engine has no way to run this network.
    """
    if placement.engine == "openvino":
        return OpenVinoNetwork(module, example, placement)
    return TorchNetwork(module, placement)


class NotConvertible(Exception):  # noqa: N818 (the name says what happened)
    """The engine cannot take a network over from torch."""


class TorchNetwork:
    """A torch module on a device; under the contract `fast` in half precision where the hardware computes in it."""

    concurrency = 1

    def __init__(self, module: Any, placement: Placement) -> None:
        import torch

        self._torch = torch
        dtype = torch.float32
        if placement.precision == "fast" and _has_bfloat16(placement.device):
            dtype = torch.bfloat16
        # A copy where the type changes: what holds half precision to float32 needs the module as it was.
        module = module if dtype is torch.float32 else copy.deepcopy(module)
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
    """Tell whether bfloat16 is fast on a device; without instructions for it, it can be a hundred times slower."""
    import torch

    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class OpenVinoNetwork:
    """A network compiled by OpenVINO for this processor; under the contract `fast` in bfloat16 where it has that."""

    def __init__(self, module: Any, example: Sequence[Array], placement: Placement) -> None:
        openvino, core = _openvino(), _core()
        has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        dtype = "bf16" if placement.precision == "fast" and has_bfloat16 else "f32"
        model = _converted(openvino, module, example)
        # A batch for each core at once: 14 % faster here than one batch on all of them, which then wait for each other.
        settings = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "THROUGHPUT"}
        self._compiled = core.compile_model(model, "CPU", settings)
        self.concurrency = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._of_thread = threading.local()
        self.runtime = Runtime("openvino", "cpu", {"bf16": "bfloat16", "f32": "float32"}[dtype])

    def __call__(self, *inputs: Array) -> list[NDArray[np.float32]]:
        """Return the outputs, as float32, for one batch of inputs."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        outputs = self._of_thread.request.infer(list(inputs), share_inputs=True)
        return [np.array(value, dtype=np.float32) for value in outputs.values()]


@functools.cache
def _core() -> Any:
    """Return the one core of this process, which is never given up.

    OpenVINO (2026.4.1) looks after the stack on which a thread handles signals, and keeps it with the core: a process
    that had made a second core was killed by a later signal, such as Ctrl-C or the end of a child.
    """
    return _openvino().Core()


def _openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report to its makers, unasked, from the import on."""
    # None in the place of a module refuses its import, which OpenVINO takes as "not installed".
    modules: dict[str, Any] = sys.modules
    if "openvino" not in modules:
        modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def _converted(openvino: Any, module: Any, example: Sequence[Array]) -> Any:
    import torch

    tensors = tuple(torch.from_numpy(array) for array in example)
    with torch.inference_mode(), warnings.catch_warnings(), _kept_logging():
        # Tracing, which OpenVINO reads a network by, warns of its own age and of every Python condition on the way.
        warnings.simplefilter("ignore")
        try:
            return openvino.convert_model(module.eval(), example_input=tensors)
        except Exception as error:  # tracing runs the network's own code, which raises whatever it likes
            raise NotConvertible(_reason(error)) from error


@contextmanager
def _kept_logging() -> Iterator[None]:
    """Put back the root logger, which a failing conversion leaves at ERROR: no warning would be seen from then on."""
    root = logging.getLogger()
    level, handlers, filters = root.level, list(root.handlers), list(root.filters)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters


def _reason(error: Exception) -> str:
    """Say in a line what OpenVINO could not convert: it begins with the place in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {next((line for line in lines if 'conversion rule' in line), lines[0])[:160]}"
