"""Choose where networks compute: the device that is asked for and the engine that is fast on it, never a guess."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Literal, get_args

from stages.encoders.protocol import Encoder, Placement, Precision
from stages.errors import InputError

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
