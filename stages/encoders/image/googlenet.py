"""torchvision's GoogLeNet with the two methods that timm's networks have; docs/systems/encoders.md#googlenet."""

from __future__ import annotations

from typing import Any

_TRUNK = (
    "conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b", "maxpool3", "inception4a",
    "inception4b", "inception4c", "inception4d", "inception4e", "maxpool4", "inception5a", "inception5b",
)  # fmt: skip


def googlenet(classes: int) -> Any:
    """Return the network without its auxiliary classifiers, whose weights serve training only."""
    import torch
    from torchvision.models import GoogLeNet

    class Network(GoogLeNet):  # type: ignore[misc]
        def forward_features(self, pixels: Any) -> Any:
            """Return the last map [n, 1024, H, W]."""
            for name in _TRUNK:
                pixels = getattr(self, name)(pixels)
            return pixels

        def forward_head(self, features: Any, pre_logits: bool = False) -> Any:
            """Return the pooled features [n, 1024], or the scores of the classes."""
            pooled = torch.flatten(self.avgpool(features), 1)
            return pooled if pre_logits else self.fc(self.dropout(pooled))

    return Network(num_classes=classes, aux_logits=False, transform_input=False, init_weights=True)
