"""Name map from the packaged EfficientNet-Lite0 checkpoint to timm's `tf_efficientnet_lite0`; used by the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# The first block has no expansion, so its names shift by one.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def to_timm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state dict under timm's names; a name outside the known layout is a KeyError."""
    return {_rename(name): tensor for name, tensor in state.items()}


def _rename(name: str) -> str:
    head, _, rest = name.partition(".")
    if head != "_blocks":
        return f"{_OUTSIDE[head]}.{rest}"
    number, module, parameter = rest.split(".", 2)
    names = _FIRST_BLOCK if int(number) == 0 else _OTHER_BLOCK
    return f"blocks.{_stage_and_block(int(number))}.{names[module]}.{parameter}"


def _stage_and_block(number: int) -> str:
    for stage, count in enumerate(_BLOCKS_PER_STAGE):
        if number < count:
            return f"{stage}.{number}"
        number -= count
    raise KeyError(f"block {number} past the {sum(_BLOCKS_PER_STAGE)} blocks of EfficientNet-Lite0")
