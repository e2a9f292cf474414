"""A network is held to torch before it computes a row: the first way of running that keeps the contract is taken."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from stages.models.encoders.protocol import OutOfMemory, Placement
from stages.models.encoders.running import held
from stages.models.encoders.running.engines import NotConvertible, _has_bfloat16
from stages.models.encoders.running.held import Feed, HeldNetwork
from store import cosines
from store.errors import InputError, RunError

ENGINES = ["torch", "openvino"]
bfloat16 = pytest.mark.skipif(not _has_bfloat16("cpu"), reason="this processor does not compute in bfloat16")


class Plain(torch.nn.Module):
    """A linear map of the mean of an item's numbers, which bfloat16 gives to three digits; padding is left out."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(8, 32, bias=False)

    def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = mask.unsqueeze(-1).to(self.layer.weight.dtype)
        mean = (items.to(weights.dtype) * weights).sum(dim=1) / weights.sum(dim=1)
        return (self.layer(mean).to(torch.float32),)


class Cancelling(Plain):
    """The small difference of two large outputs, of which bfloat16 keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            weight = self.layer.weight
            weight[16:] = weight[:16] * (1 + 1e-4 * torch.arange(16).unsqueeze(1))

    def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (both,) = super().forward(items, mask)
        return (both[:, :16] - both[:, 16:],)


class Leaking(Plain):
    """Counts padding among the numbers, as networks do that mix positions without a mask."""

    def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.tanh(self.layer(items.mean(dim=1) + items[:, -1])) + 0 * mask.sum(),)


class Counting(Plain):
    """Lets each item see how many share its batch."""

    def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (vectors,) = super().forward(items, mask)
        return (vectors + items.shape[0],)


class Frozen(Plain):
    """Adds up windows of eight, as many as Python counts: whoever traces it keeps the count of the example."""

    def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = mask.unsqueeze(-1).to(self.layer.weight.dtype)
        windows = range(0, items.shape[1], 8)
        total = sum((items * weights)[:, start : start + 8].sum(dim=1) for start in windows)
        return (self.layer(total / weights.sum(dim=1)),)


def item(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, 8)).astype(np.float32)


ITEMS = [item(length, seed) for seed, length in enumerate((2, 5, 5, 9, 2, 30))]


def collate(items: Sequence[np.ndarray]) -> list[np.ndarray]:
    lengths = np.array([len(each) for each in items])
    filled = np.arange(lengths.max()) < lengths[:, None]
    values = np.zeros((*filled.shape, 8), np.float32)
    values[filled] = np.concatenate(items)
    return [values, filled.astype(np.int64)]


def feed(**changed: Any) -> Feed:
    trial = [item(length, 10 + seed) for seed, length in enumerate((3, 7, 7, 12))]
    made = {"collate": collate, "rows": lambda _, outputs: outputs[0], "width": 32, "trial": trial, "length": len}
    return Feed(**{**made, **changed})


def network(module: type[Plain], engine: Any = "openvino", precision: Any = "exact", **changed: Any) -> HeldNetwork:
    by_name = changed.pop("by_name", False)
    width = 16 if module is Cancelling else 32
    placement = Placement("cpu", engine, precision, by_name=by_name)
    return HeldNetwork(lambda: module().eval(), feed(width=width, **changed), placement)


def reference(module: torch.nn.Module, items: Sequence[np.ndarray] = ITEMS) -> np.ndarray:
    with torch.inference_mode():
        alone = [module(*map(torch.from_numpy, collate([each])))[0].numpy() for each in items]
    return np.concatenate(alone)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == held.__name__]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_keeps_the_contract_runs_as_it_was_asked_for(engine, caplog):
    held_network = network(Plain, engine)
    assert (held_network.runtime.engine, held_network.runtime.compute_dtype) == (engine, "float32")
    assert cosines(held_network(ITEMS), reference(Plain())).min() > 0.999999
    assert told(caplog) == []


def test_what_an_engine_converts_into_another_network_is_computed_by_torch(caplog):
    held_network = network(Frozen)
    assert held_network.runtime.engine == "torch"
    assert cosines(held_network(ITEMS), reference(Frozen())).min() > 0.999999
    (line,) = told(caplog)
    assert "computed by torch in float32, items together" in line
    assert "by openvino in float32, items together: a cosine of" in line


@pytest.mark.parametrize("engine", ENGINES)
def test_items_whose_padding_would_show_share_batches_by_length(engine, caplog):
    held_network = network(Leaking, engine)
    assert cosines(held_network(ITEMS), reference(Leaking())).min() > 0.999999
    assert f"computed by {engine} in float32, items of one length" in told(caplog)[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_items_whose_company_would_show_are_computed_one_by_one(engine, caplog):
    held_network = network(Counting, engine)
    assert cosines(held_network(ITEMS), reference(Counting())).min() > 0.999999
    assert f"computed by {engine} in float32, items one by one" in told(caplog)[0]


def test_an_engine_that_was_asked_for_by_name_is_refused_and_never_replaced():
    with pytest.raises(InputError, match=r"expected openvino to give the vectors of torch.*set DIPTYCH_ENGINE"):
        network(Frozen, by_name=True)


def unconvertible(module: Any, _: Any, placement: Placement) -> Any:
    if placement.engine == "openvino":
        raise NotConvertible("OpConversionFailure: no rule for it")
    return held.TorchNetwork(module, placement)


def test_what_cannot_be_converted_is_computed_by_torch_unless_the_engine_was_named(monkeypatch, caplog):
    monkeypatch.setattr(held, "compile_network", unconvertible)
    assert network(Plain).runtime.engine == "torch"
    assert "openvino cannot convert it: OpConversionFailure: no rule for it" in told(caplog)[0]
    with pytest.raises(InputError, match="openvino cannot convert it"):
        network(Plain, by_name=True)


@bfloat16
@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_half_precision_ruins_is_computed_in_float32(engine, caplog):
    held_network = network(Cancelling, engine, "fast")
    assert held_network.runtime.compute_dtype == "float32"
    assert held_network.runtime.engine == engine
    assert "in bfloat16, items together: a cosine of" in told(caplog)[0]
    assert cosines(held_network(ITEMS), reference(Cancelling())).min() > 0.9999


@bfloat16
@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_keeps_the_contract_stays_in_half_precision(engine, caplog):
    held_network = network(Plain, engine, "fast")
    found = held_network(ITEMS)
    assert held_network.runtime.compute_dtype == "bfloat16"
    assert found.dtype == np.float32
    assert told(caplog) == []
    expected = reference(Plain())
    assert 0.999 < cosines(found, expected).min() < 1
    assert not np.array_equal(found, expected)


class Halved:
    """Stands for half precision that bears the trial items and not the first real ones, on any processor."""

    concurrency = 1

    def __init__(self, module: Any, placement: Placement) -> None:
        self._exact = held.TorchNetwork(module, placement)
        self.runtime = self._exact.runtime
        self.half = placement.precision == "fast"
        if self.half:
            self.runtime.compute_dtype = "bfloat16"

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        (vectors,) = self._exact(*inputs)
        large = np.abs(inputs[0]).max(axis=(1, 2)) > 50
        return [np.where((large & self.half)[:, None], vectors[:, ::-1], vectors)]


def test_half_precision_that_the_first_real_items_do_not_bear_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(held, "compile_network", lambda module, _, placement: Halved(module, placement))
    held_network = network(Plain, "torch", "fast")
    assert held_network.runtime.compute_dtype == "bfloat16"
    large = [100 * each for each in ITEMS]
    with caplog.at_level(logging.WARNING):
        assert cosines(held_network(large), reference(Plain(), large)).min() > 0.999999
    assert held_network.runtime.compute_dtype == "float32"
    assert "in bfloat16 has a cosine of" in told(caplog)[0]


class Spoiling:
    """Stands for an engine that fails a row by the company it has."""

    concurrency = 1

    def __init__(self, module: Any, placement: Placement) -> None:
        self._torch = held.TorchNetwork(module, placement)
        self.runtime = self._torch.runtime

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        (vectors,) = self._torch(*inputs)
        short = inputs[1].sum(axis=1) < 0.1 * inputs[1].shape[1]
        return [np.where(short[:, None], np.nan, vectors)]


def test_a_vector_that_is_not_finite_is_computed_again_by_torch_alone(monkeypatch, caplog):
    monkeypatch.setattr(held, "compile_network", lambda module, _, placement: Spoiling(module, placement))
    held_network = network(Plain)
    assert cosines(held_network(ITEMS), reference(Plain())).min() > 0.999999
    assert "vectors that are not finite" in told(caplog)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_are_not_finite_are_refused(engine, value):
    def build() -> torch.nn.Module:
        module = torch.nn.Sequential(torch.nn.BatchNorm1d(8))
        module[0].running_mean[3] = value if value != -np.inf else np.nan
        with torch.no_grad():
            module[0].weight[2] = value
        return module.eval()

    with pytest.raises(InputError, match=r"expected finite weights; found NaN or infinity in 2 of 4 tensors, such as"):
        HeldNetwork(build, feed(), Placement("cpu", engine))


def test_a_mask_of_minus_infinity_among_the_buffers_is_no_fault():
    class Masked(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    assert network(Masked, "torch").runtime.engine == "torch"


def test_a_network_that_stops_or_gives_nothing_finite_is_wrong_input():
    class Stopping(Plain):
        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:  # noqa: ARG002
            raise IndexError("index out of range in self")

    class Empty(Plain):
        def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (super().forward(items, mask)[0] * torch.nan,)

    with pytest.raises(InputError, match="torch can run on 4 trial items; found IndexError: index out of range"):
        network(Stopping, "torch")
    with pytest.raises(InputError, match="expected a finite vector of a trial item"):
        network(Empty, "torch")


def test_no_room_for_one_trial_item_ends_the_run():
    class Large(Plain):
        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:  # noqa: ARG002
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(RunError, match="expected room on the device for a batch of one item"):
        network(Large, "torch")


def test_no_room_for_a_batch_is_told_to_who_chooses_its_size():
    class Large(Plain):
        def forward(self, items: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if len(items) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return super().forward(items, mask)

    held_network = network(Large, "torch")
    with pytest.raises(OutOfMemory):
        held_network(ITEMS)
    assert held_network(ITEMS[:4]).shape == (4, 32)
