"""The section `split`: what each protocol reads, and nothing else."""

from typing import Any

import pytest
from pydantic import ValidationError

from stages.split.params import SplitParams


@pytest.mark.parametrize(
    "params",
    [
        {"test": 0},
        {"test": 1.0},
        {"dev": 1.5},
        {"protocol": "kfold"},
        {"tset": 0.2},
        {"protocol": "per_class", "share": 0},
        {"protocol": "first_n", "first": 0},
        {"protocol": "P-group", "held_out": 0},
        {"protocol": "P-group", "by": ""},
        {"near": -1},
        {"near": 11},
    ],
)
def test_wrong_values(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SplitParams(**params)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("holdout", {"share": 0.1, "first": 5, "held_out": 3, "by": "x", "within": "y", "strict_text": True}),
        ("per_class", {"test": 0.3, "dev": 0.2, "first": 5, "held_out": 3}),
        ("first_n", {"test": 0.3, "share": 0.1, "strict_text": True}),
        ("P-image", {"share": 0.1, "by": "x", "held_out": 3}),
        ("P-group", {"test": 0.3, "share": 0.1, "first": 5}),
    ],
)
def test_options_of_another_protocol_are_refused(protocol: Any, options: dict[str, Any]) -> None:
    for name, value in options.items():
        with pytest.raises(ValidationError, match=f"the protocol {protocol} reads, found {name}: {value}"):
            SplitParams(protocol=protocol, **{name: value})


def test_defaults_that_another_protocol_reads_may_be_spelt_out() -> None:
    params = SplitParams(protocol="P-group", test=0.2, share=0.04, first=4000, held_out=1)
    assert params.held_out == 1
