"""The networks of `mmeda1` and `mmeda2`: the checks of docs/systems/fusions.md#mmeda1 in the small-size mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stages.models.fusions.factors.mmeda_network import Batch, Codes, Mmeda1, Mmeda2, Sizes

SMALL = Sizes(rows=20, width=10, size=32, hidden=16, components=4)
NETWORKS: dict[str, Any] = {
    "mmeda1": Mmeda1,
    "mmeda2": Mmeda2,
    "mmeda2-joint": lambda sizes: Mmeda2(sizes, "joint"),
}
EVERY = pytest.mark.parametrize("name", NETWORKS)


def made(name: str, sizes: Sizes = SMALL) -> Mmeda1:
    torch.manual_seed(0)
    network: Mmeda1 = NETWORKS[name](sizes)
    return network


def batch(block: slice = slice(4, 7), rows: int = 6) -> Batch:
    torch.manual_seed(1)
    texts = torch.randn(20, 10)
    return Batch(torch.randn(rows, 3, 32, 32), texts[:rows], texts[:, block].T, block)


def mse(left: torch.Tensor, right: torch.Tensor) -> float:
    difference = left.detach().numpy().astype(np.float64) - right.detach().numpy().astype(np.float64)
    return float((difference**2).mean())


@pytest.mark.parametrize(
    ("kind", "rows", "parameters"),
    [
        (Mmeda1, 5000, 25_551_697),
        (Mmeda1, 4000, 21_026_197),
        (Mmeda2, 5000, 38_191_847),
        (Mmeda2, 4000, 29_139_847),
    ],
)
def test_the_published_network_has_the_published_number_of_parameters(
    kind: type[Mmeda1], rows: int, parameters: int
) -> None:
    with torch.device("meta"):
        network = kind(Sizes(rows, 100, 224, 512, 50))
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_the_small_size_mode_has_the_shapes_of_the_specification() -> None:
    network, given = made("mmeda2"), batch()
    assert network.picture_encoder[7].in_features == 4 * 8 * 8
    codes = network.encode(given)
    assert isinstance(codes, Codes)
    assert (codes.pictures.shape, codes.texts.shape, codes.joint.shape) == ((6, 4), (6, 4), (6, 4))
    assert codes.columns.shape == (3, 4)
    assert codes.products.shape == (6, 3)
    assert network.picture_decoder(codes.joint).shape == given.pictures.shape
    assert bool((codes.pictures >= 0).all())


@EVERY
def test_the_embedding_is_linear_in_the_codes_of_picture_and_text(name: str) -> None:
    network, given = made(name), batch()
    codes = network.encode(given)
    sides = np.concatenate([codes.pictures.detach().numpy(), codes.texts.detach().numpy()], axis=1)
    weight, bias = (each.detach().numpy() for each in (network.joint.weight, network.joint.bias))
    np.testing.assert_allclose(codes.joint.detach().numpy(), sides @ weight.T + bias, atol=1e-6)
    torch.testing.assert_close(network.embed(given.pictures, given.texts), codes.joint)


@EVERY
@pytest.mark.parametrize("block", [slice(0, 4), slice(8, 10), slice(0, 10)])
def test_the_loss_is_the_sum_of_its_mean_squared_errors(name: str, block: slice) -> None:
    network, given = made(name), batch(block)
    codes = network.encode(given)
    parts = network.losses(given, codes)
    code = codes.pictures if name == "mmeda2" else codes.joint
    own = {
        "pictures": mse(network.picture_decoder(code), given.pictures),
        "products": mse(codes.joint @ codes.columns.T, given.texts[:, block]),
    }
    if isinstance(network, Mmeda2):
        own["texts"] = mse(network.row_decoder(codes.texts), given.texts)
        own["columns"] = mse(network.column_decoder(codes.columns), given.columns)
    assert list(parts) == list(own)
    assert len(parts) == (2 if name == "mmeda1" else 4)
    assert float(sum(parts.values()).detach()) == pytest.approx(sum(own.values()), abs=1e-6)


@EVERY
def test_with_all_parameters_zero_the_loss_is_the_mean_squares_of_what_is_rebuilt(name: str) -> None:
    network, given = made(name), batch()
    with torch.no_grad():
        for each in network.parameters():
            each.zero_()
    zero = torch.zeros(())
    expected = mse(given.pictures, zero) + mse(given.texts[:, given.block], zero)
    if name != "mmeda1":
        expected += mse(given.texts, zero) + mse(given.columns, zero)
    loss = sum(network.losses(given, network.encode(given)).values())
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "reached"), [("mmeda1", True), ("mmeda2-joint", True), ("mmeda2", False)])
def test_the_picture_teaches_the_row_encoder_only_where_it_is_rebuilt_from_the_embedding(
    name: str, *, reached: bool
) -> None:
    network, given = made(name), batch()
    network.losses(given, network.encode(given))["pictures"].backward()
    gradients = [each.grad for each in network.row_encoder.parameters()]
    found = max(0.0 if each is None else float(each.abs().max()) for each in gradients)
    assert (found > 0) if reached else (found == 0)
    assert float(network.picture_encoder[0].weight.grad.abs().max()) > 0
