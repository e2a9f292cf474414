"""Fold batch normalisation into the convolution before it: the same numbers from fewer passes over the memory."""

from __future__ import annotations

import copy
import logging
from typing import Any

_LOG = logging.getLogger(__name__)


def fold_batch_norms(network: Any) -> Any:
    """Return a copy of a network in evaluation mode whose batch normalisations are folded into the convolutions before.

    The same numbers come from fewer passes over the memory. OpenVINO does so by itself; torch does not. A network whose
    steps cannot be traced comes back as it is: that costs time and changes no number.

    Parameters
    ----------
    network : torch.nn.Module
        In float32, on the processor.
    """
    import torch

    class Tracer(torch.fx.Tracer):
        """Takes convolutions and normalisations whole, timm's own kinds of them too."""

        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            ours = isinstance(m, torch.nn.Conv2d | torch.nn.BatchNorm2d)
            return ours or super().is_leaf_module(m, module_qualified_name)

    network = copy.deepcopy(network)
    try:
        traced = torch.fx.GraphModule(network, Tracer().trace(network))
    except Exception as error:  # noqa: BLE001 (what a step that depends on the data raises is up to that step)
        _LOG.debug("not folded: %s", error)
        return network
    modules = dict(traced.named_modules())
    for node in traced.graph.nodes:
        before: Any = node.args[0] if node.args else None
        if node.op == getattr(before, "op", None) == "call_module" and len(before.users) == 1:
            _fold(modules, before.target, node.target)
    return traced


def _fold(modules: dict[str, Any], first: Any, second: Any) -> None:
    """Fold the module named `second` into `first`, if they are a normalisation and a convolution."""
    import torch

    convolution, norm = modules[first], modules[second]
    if not isinstance(convolution, torch.nn.Conv2d) or not isinstance(norm, torch.nn.BatchNorm2d):
        return
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:  # it takes those of the batch, so that there is nothing to fold
        return
    folded = torch.nn.utils.fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = folded
    # timm's kind holds its activation too.
    rest = [each for name in ("drop", "act") if (each := getattr(norm, name, None)) is not None]
    parent, _, name = second.rpartition(".")
    setattr(modules[parent], name, torch.nn.Sequential(*rest))
