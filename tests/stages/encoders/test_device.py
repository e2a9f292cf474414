"""The device is what was asked for, or an error: never another one in silence."""

from __future__ import annotations

import pytest
import torch

from stages.encoders.device import resolve_device
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
