"""Which layers are frozen: in the order of the forward pass, by share or by name, bit-identical after steps."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import nn

from stages.fit.finetune.network import (
    BATCH_FOR_STATISTICS,
    TrainingMode,
    cut_by_name,
    cut_by_share,
    freeze,
    layers_in_order,
)
from stages.models.encoders.image.architectures import ARCHITECTURES
from store.errors import InputError

SAMPLE = torch.zeros(1, 3, 96, 96)


def backbone(name: str) -> nn.Module:
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    return network


class TwoPaths(nn.Module):
    """Uses its layers in another order than it names them, one of them twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.unused = nn.Linear(4, 2), nn.Linear(4, 4), nn.Linear(4, 4)
        self.norm, self.relu = nn.BatchNorm1d(4), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(self.relu(self.norm(self.first(self.first(x)))))
        return out


def test_layers_come_in_the_order_of_use_each_once() -> None:
    network = TwoPaths().train()
    assert [layer.name for layer in layers_in_order(network, torch.zeros(1, 4))] == ["first", "norm", "last"]
    assert network.training


@pytest.mark.parametrize("name", ["resnet152", "resnet50v2", "inceptionv3", "mobilenetv2"])
def test_half_of_a_real_network(name: str) -> None:
    network = backbone(ARCHITECTURES[name].name)
    layers = layers_in_order(network, SAMPLE)
    owners = [each for each in network.modules() if next(each.parameters(recurse=False), None) is not None]
    assert len(layers) == len(owners)  # every layer that owns parameters is used, and counted once
    cut = cut_by_share(layers, 0.5)
    assert cut == math.floor(0.5 * len(layers))
    freeze(layers[:cut])
    for position, layer in enumerate(layers):
        assert sum(parameter.requires_grad for parameter in layer.parameters) == (
            0 if position < cut else len(layer.parameters)
        )


def test_from_a_named_layer_or_block_on() -> None:
    layers = layers_in_order(backbone("resnet10t"), SAMPLE)
    names = [layer.name for layer in layers]
    assert cut_by_name(layers, "layer2.0.conv1") == names.index("layer2.0.conv1")
    assert names[cut_by_name(layers, "layer3")].startswith("layer3.0.")
    with pytest.raises(InputError, match=r"unfreeze_from.*'layer9'.*did you mean 'layer"):
        cut_by_name(layers, "layer9")


@pytest.mark.parametrize("batch", [BATCH_FOR_STATISTICS - 1, BATCH_FOR_STATISTICS])
def test_batch_normalisation_learns_from_large_batches_behind_the_cut_only(batch: int) -> None:
    network = backbone("resnet10t")
    for name, parameter in network.named_parameters():
        if name.endswith(".weight") and parameter.dim() == 1:
            nn.init.ones_(parameter)  # timm's zeros would keep gradients from the layers before them
    layers = layers_in_order(network, SAMPLE)
    cut = cut_by_share(layers, 0.5)
    freeze(layers[:cut])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    TrainingMode(network, layers[:cut]).enter(batch)
    assert network.training
    optimizer = torch.optim.Adam([each for each in network.parameters() if each.requires_grad], 0.01)
    network(torch.randn(batch, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    after = network.state_dict()
    frozen = {f"{layer.name}." for layer in layers[:cut]}
    for name, value in after.items():
        kept = name.startswith(tuple(frozen))
        statistic = "running" in name or "num_batches" in name
        unchanged = kept or (statistic and batch < BATCH_FOR_STATISTICS)
        assert torch.equal(value, before[name]) == unchanged, name
