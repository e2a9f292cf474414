"""Choose where tensors live; asked by the encoders and by the trained heads, never guessed by them."""

from __future__ import annotations

import re

from stages.errors import InputError


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
