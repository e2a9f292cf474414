"""The device is what was asked for, or an error: never another one in silence."""

from __future__ import annotations

import pytest
import torch

from stages.encoders.device import resolve_device, resolve_placement
from stages.encoders.protocol import Placement
from stages.errors import InputError


def test_cpu_is_cpu():
    assert resolve_device("cpu") == "cpu"


def test_auto_takes_what_there_is():
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("wanted", ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda:0 ", "mps"])
def test_an_unknown_word_is_refused(wanted):
    with pytest.raises(InputError, match="expected auto, cpu, cuda or cuda:<n>; found"):
        resolve_device(wanted)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"expected cuda:99 on this machine; found \d+ CUDA devices"):
        resolve_device("cuda:99")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(InputError, match="found 0 CUDA devices"):
        resolve_device("cuda")


def test_an_unknown_engine_is_refused():
    with pytest.raises(InputError, match="engine: expected one of auto, torch, openvino; found 'tensorrt'"):
        resolve_placement("cpu", "tensorrt", "exact")


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize(("engine", "expected"), [("auto", "openvino"), ("openvino", "openvino"), ("torch", "torch")])
def test_on_a_processor_openvino_computes_unless_torch_is_asked_for(engine, expected, precision):
    placement = resolve_placement("cpu", engine, precision)
    assert placement == Placement("cpu", expected, precision, by_name=engine != "auto")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, as far as the choice of the engine sees it."""
    monkeypatch.setattr("stages.encoders.device.resolve_device", lambda _: "cuda")


@pytest.fixture
def no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.encoders.device.find_spec", lambda _: None)


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_torch_computes():
    assert resolve_placement("auto", "auto", "fast") == Placement("cuda", "torch", "fast")
    assert resolve_placement("cuda", "torch", "exact") == Placement("cuda", "torch", "exact", by_name=True)


@pytest.mark.usefixtures("gpu")
def test_openvino_on_a_gpu_is_refused():
    with pytest.raises(InputError, match=r"expected the device cpu with openvino; found cuda; set DIPTYCH_DEVICE=cpu"):
        resolve_placement("cuda", "openvino", "exact")


@pytest.mark.usefixtures("no_openvino")
def test_without_openvino_torch_computes_and_openvino_is_refused():
    assert resolve_placement("cpu", "auto", "exact") == Placement("cpu", "torch", "exact")
    with pytest.raises(InputError, match="expected the package openvino; found none"):
        resolve_placement("cpu", "openvino", "exact")
